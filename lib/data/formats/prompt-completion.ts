// {prompt, completion}: what is given, and what the model should answer; both texts, or both turns of a conversation, of which
// the assistant's in the completion carry loss.
import { lazily } from '../../core/zod.js'
import { describeIssue, findBrokenText, type ParseResult, type RowFormat } from './format.js'
import { readTools, readTurns, toolsSchema, turnsSchema } from './turns.js'
import type { RowValue } from '../types.js'

const texts = lazily((z) => z.looseObject({ prompt: z.string('expected a text'), completion: z.string('expected a text') }))

export const promptCompletionFormat: RowFormat = {
  name: 'prompt_completion',
  shape: '{prompt, completion}',
  columns: ['prompt', 'completion'],
  optional: ['tools'],
  // With a label a completion may be a bad example: not something to imitate.
  unless: ['label'],
  schema: lazily((z) => z.union([texts(), z.looseObject({ prompt: turnsSchema(z), completion: turnsSchema(z), tools: toolsSchema(z) })])),
  parse(row) {
    if (Array.isArray(row.prompt) && Array.isArray(row.completion)) return readConversation(row)
    const result = texts().safeParse(row)
    if (!result.success) return { problem: describeIssue(result.error, row) }
    const { prompt, completion } = result.data
    const broken = findBrokenText(prompt, 'prompt') ?? findBrokenText(completion, 'completion')
    return broken === null ? { kind: 'pair', prompt, completion } : { problem: broken }
  },
}

function readConversation(row: RowValue): ParseResult {
  const prompt = readTurns(row.prompt, 'prompt')
  if ('problem' in prompt) return prompt
  const completion = readTurns(row.completion, 'completion')
  if ('problem' in completion) return completion
  const tools = readTools(row.tools)
  if ('problem' in tools) return tools
  const trained = [...(prompt.trained ?? prompt.messages.map(() => null)), ...(completion.trained ?? completion.messages.map(() => null))]
  const said = prompt.trained !== undefined || completion.trained !== undefined
  return { kind: 'chat', messages: [...prompt.messages, ...completion.messages], ...tools, answersFrom: prompt.messages.length, ...(said ? { trained } : {}) }
}
