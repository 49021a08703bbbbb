// role_order: conversations in which turns do not follow each other as chat templates expect, or that teach no answer.
import type { ChatRow } from '../formats/format.js'
import type { LintRule } from './rule.js'

const known: ReadonlySet<string> = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function', 'ipython', 'tool_response', 'context', 'environment'])
const tools: ReadonlySet<string> = new Set(['tool', 'function', 'ipython', 'tool_response', 'environment'])
const openings: ReadonlySet<string> = new Set(['system', 'developer', 'context'])

export const roleOrderRule: LintRule = {
  name: 'role_order',
  describe: 'the turns of a conversation are out of order',
  remedy: 'a conversation is: system (optional), then user and assistant in turn, tool results after the call, the assistant last',
  severity: 'error',
  rowAlone: true,
  open: () => ({
    row({ source }) {
      const chat = source.row.kind === 'chat' ? source.row : source.row.kind === 'instruction' ? source.row.chat : null
      return chat === null ? null : faultOf(chat.messages)
    },
  }),
}

function faultOf(messages: ChatRow['messages']): { message: string; severity?: 'warning' } | null {
  const roles = messages.map(({ role }) => String(role))
  const unknown = roles.findIndex((role) => !known.has(role))
  if (unknown >= 0) return { message: `messages.${unknown}: a role that templates do not know` }
  if (!roles.includes('assistant')) return { message: 'no turn of the assistant: nothing is learned' }
  let before: string | null = null
  for (const [i, role] of roles.entries()) {
    if (openings.has(role)) {
      if (before !== null) return { message: `messages.${i}: ${role} after the conversation has begun`, severity: 'warning' }
      continue
    }
    if (before === null && role !== 'user') return { message: `messages.${i}: the first turn is ${role}, not user` }
    if (role === before && !tools.has(role)) return { message: `messages.${i}: ${role} twice in a row` }
    if (tools.has(role) && before === 'user') return { message: `messages.${i}: a ${role} result without a call before it` }
    before = role
  }
  return before === 'assistant' ? null : { message: `the last turn is ${before ?? 'none'}, not assistant` }
}
