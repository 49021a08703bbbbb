// {messages: [{role, content}], tools?}: a conversation, rendered by the model's chat template.
import type { z } from 'zod'
import { lazily } from '../../core/zod.js'
import { describeIssue, findBrokenText, isDeeperThan, type RowFormat } from './format.js'

const maxDepth = 64

const schemas = lazily((z) => {
  const part = z.looseObject({ type: z.literal('text', 'only parts of type "text" can be trained on'), text: z.string('expected a text') })
  const content = z.union([z.string(), z.array(part), z.null()], {
    error: (issue) => deepestMessage(issue) ?? 'expected a text, a list of {type: "text", text} or null',
  })
  const message = z.looseObject({
    role: z.string('expected a text').min(1, 'expected a role, this is empty'),
    content: content.optional(),
    tool_calls: z.array(z.looseObject({}, 'expected an object'), 'expected a list').nullish(),
  }, 'expected {role, content}').superRefine((value, context) => {
    const says = typeof value.content === 'string' || Array.isArray(value.content) || (value.tool_calls?.length ?? 0) > 0 || 'function_call' in value
    if (!says) context.addIssue({ code: 'custom', path: ['content'], message: 'expected a text, this is missing or null' })
  })
  const toolList = z.array(z.looseObject({}, 'expected an object'), 'expected a list')
  const row = z.looseObject({
    messages: z.array(message, 'expected a list of {role, content}').min(1, 'expected at least one message, this is empty'),
    tools: z.union([toolList, z.string()], 'expected a list of objects').nullish(),
  })
  return { row, toolList }
})

export const messagesFormat: RowFormat = {
  name: 'messages',
  shape: '{messages: [{role, content}], tools?}',
  columns: ['messages'],
  parse(row) {
    const given = { messages: row.messages, tools: row.tools }
    if (isDeeperThan(given, maxDepth)) return { problem: `messages: nested more than ${maxDepth} deep` }
    const result = schemas().row.safeParse(given)
    if (!result.success) return { problem: describeIssue(result.error, given) }
    const tools = readTools(result.data.tools)
    if (tools === 'broken') return { problem: 'tools: expected a list of objects, this text is not one in JSON' }
    const broken = findBrokenText(result.data.messages, 'messages') ?? findBrokenText(tools, 'tools')
    return broken === null ? { kind: 'chat', messages: result.data.messages, tools } : { problem: broken }
  },
}

/** Some data sets hold the tools as JSON in a text. No tools and an empty list are the same. */
function readTools(given: readonly unknown[] | string | null | undefined): readonly unknown[] | null | 'broken' {
  let tools: unknown = given
  if (typeof given === 'string') {
    if (given.trim() === '') return null
    try {
      tools = JSON.parse(given)
    } catch {
      return 'broken'
    }
    const result = schemas().toolList.nullable().safeParse(tools)
    if (!result.success || isDeeperThan(tools, maxDepth)) return 'broken'
  }
  return Array.isArray(tools) && tools.length > 0 ? tools : null
}

/** Of the branches of a union, the message about a part of a list says most. */
function deepestMessage(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code !== 'invalid_union' || !Array.isArray(issue.input)) return undefined
  const inner = issue.errors.flat().find((one) => one.path.length > 0)
  return inner === undefined ? undefined : `part ${inner.path.map(String).join('.')}: ${inner.message}`
}
