// {prompt, completion}: what is given, and what the model should answer.
import { lazily } from '../../core/zod.js'
import { describeIssue, findBrokenText, type RowFormat } from './format.js'

const schema = lazily((z) => z.looseObject({ prompt: z.string('expected a text'), completion: z.string('expected a text') }))

export const promptCompletionFormat: RowFormat = {
  name: 'prompt_completion',
  shape: '{prompt, completion}',
  columns: ['prompt', 'completion'],
  // With a label a completion may be a bad example: not something to imitate.
  unless: ['label'],
  parse(row) {
    const result = schema().safeParse(row)
    if (!result.success) return { problem: describeIssue(result.error, row) }
    const { prompt, completion } = result.data
    const broken = findBrokenText(prompt, 'prompt') ?? findBrokenText(completion, 'completion')
    return broken === null ? { kind: 'pair', prompt, completion } : { problem: broken }
  },
}
