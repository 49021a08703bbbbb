// {prompt, completion, label}: one answer and whether it is a good one, for KTO and the like. Supervised training would
// imitate bad answers, so it refuses the row.
import { lazily } from '../../core/zod.js'
import { kindOf } from '../loaders/parse-row.js'
import { readAnswer, textsAlike } from './answer.js'
import type { RowFormat } from './format.js'
import { readTools, toolsSchema, turnsSchema } from './turns.js'

export const unpairedPreferenceFormat: RowFormat = {
  name: 'unpaired_preference',
  shape: '{prompt, completion, label}',
  columns: ['prompt', 'completion', 'label'],
  optional: ['tools'],
  schema: lazily((z) => {
    const label = z.union([z.boolean(), z.literal(0), z.literal(1)])
    return z.union([
      z.looseObject({ prompt: z.string(), completion: z.string(), label }),
      z.looseObject({ prompt: turnsSchema(z), completion: turnsSchema(z), label, tools: toolsSchema(z) }),
    ])
  }),
  parse(row) {
    const prompt = readAnswer(row.prompt, 'prompt')
    if ('problem' in prompt) return prompt
    const completion = readAnswer(row.completion, 'completion')
    if ('problem' in completion) return completion
    const unlike = textsAlike({ prompt: prompt.answer, completion: completion.answer })
    if (unlike !== null) return { problem: unlike }
    const label = readLabel(row.label)
    if (label === null) return { problem: `label: expected true or false, got ${typeof row.label === 'number' ? 'another number' : kindOf(row.label)}` }
    const tools = readTools(row.tools)
    return 'problem' in tools ? tools : { kind: 'unpaired', prompt: prompt.answer, completion: completion.answer, label, ...tools }
  },
}

/** null: it is none. */
export function readLabel(value: unknown): boolean | null {
  if (typeof value === 'boolean') return value
  return value === 0 || value === 1 ? value === 1 : null
}
