// {conversations: [{from, value}], system?, tools?}: ShareGPT, with every name people give the speakers; turns with
// role and content are taken as well.
import { lazily } from '../../core/zod.js'
import { readSystem } from './answer.js'
import type { RowFormat } from './format.js'
import { readTools, readTurns, toolsSchema, turnsSchema } from './turns.js'

export const sharegptFormat: RowFormat = {
  name: 'sharegpt',
  shape: '{conversations: [{from, value}], system?, tools?}',
  columns: ['conversations'],
  optional: ['system', 'tools'],
  schema: lazily((z) => z.looseObject({ conversations: turnsSchema(z), system: z.string().nullish(), tools: toolsSchema(z) })),
  parse(row) {
    const turns = readTurns(row.conversations, 'conversations')
    if ('problem' in turns) return turns
    const tools = readTools(row.tools)
    if ('problem' in tools) return tools
    const system = readSystem(row.system)
    if ('problem' in system) return system
    if (system.text === '') return { kind: 'chat', ...turns, ...tools }
    if (turns.messages[0]?.role === 'system') return { problem: 'system: the first turn is a system turn too: keep one of them' }
    const messages = [{ role: 'system', content: system.text }, ...turns.messages]
    return { kind: 'chat', messages, ...tools, ...(turns.trained === undefined ? {} : { trained: [null, ...turns.trained] }) }
  },
}
