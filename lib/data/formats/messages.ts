// {messages: [{role, content}], tools?}: a conversation, rendered by the model's chat template.
import { lazily } from '../../core/zod.js'
import type { RowFormat } from './format.js'
import { readTools, readTurns, toolsSchema, turnsSchema } from './turns.js'

export const messagesFormat: RowFormat = {
  name: 'messages',
  shape: '{messages: [{role, content}], tools?}',
  columns: ['messages'],
  optional: ['tools'],
  schema: lazily((z) => z.looseObject({ messages: turnsSchema(z), tools: toolsSchema(z) })),
  parse(row) {
    const turns = readTurns(row.messages, 'messages')
    if ('problem' in turns) return turns
    const tools = readTools(row.tools)
    return 'problem' in tools ? tools : { kind: 'chat', ...turns, ...tools }
  },
}
