// {prompt?, chosen, rejected}: two answers, the first the better one; texts, or turns of a conversation. Without a prompt
// both hold it. For preference methods; supervised training has no use for the rejected answer and refuses the row.
import { lazily } from '../../core/zod.js'
import { readAnswer, readSystem, textsAlike, withSystem, type AnswerResult } from './answer.js'
import type { Answer, RowFormat } from './format.js'
import { readTools, toolsSchema, turnsSchema } from './turns.js'

export const preferenceFormat: RowFormat = {
  name: 'preference',
  shape: '{prompt?, chosen, rejected}',
  columns: ['chosen', 'rejected'],
  optional: ['prompt', 'system', 'tools'],
  schema: lazily((z) => z.union([
    z.looseObject({ prompt: z.string().nullish(), chosen: z.string(), rejected: z.string() }),
    z.looseObject({ prompt: turnsSchema(z).nullish(), chosen: turnsSchema(z), rejected: turnsSchema(z), tools: toolsSchema(z) }),
  ])),
  parse(row) {
    const prompt: AnswerResult | null = row.prompt === null || row.prompt === undefined ? null : readAnswer(row.prompt, 'prompt')
    if (prompt !== null && 'problem' in prompt) return prompt
    const chosen = readAnswer(row.chosen, 'chosen')
    if ('problem' in chosen) return chosen
    const rejected = readAnswer(row.rejected, 'rejected')
    if ('problem' in rejected) return rejected
    const unlike = textsAlike({ ...(prompt === null ? {} : { prompt: prompt.answer }), chosen: chosen.answer, rejected: rejected.answer })
    if (unlike !== null) return { problem: unlike }
    const system = readSystem(row.system)
    if ('problem' in system) return system
    const tools = readTools(row.tools)
    if ('problem' in tools) return tools
    const begun = (answer: Answer): Answer => withSystem(answer, system.text)
    if (prompt !== null) return { kind: 'preference', prompt: begun(prompt.answer), chosen: chosen.answer, rejected: rejected.answer, ...tools }
    return { kind: 'preference', prompt: null, chosen: begun(chosen.answer), rejected: begun(rejected.answer), ...tools }
  },
}
