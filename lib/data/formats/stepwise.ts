// {prompt, completions, labels}: the steps of an answer, each right or wrong, for process reward models. Supervised
// training has no use for wrong steps and refuses the row.
import { lazily } from '../../core/zod.js'
import { describeIssue, findBrokenText, type RowFormat } from './format.js'
import { readLabel } from './unpaired-preference.js'

const schema = lazily((z) => {
  const label = z.union([z.boolean(), z.literal(0), z.literal(1)], 'expected true or false')
  return z.looseObject({
    prompt: z.string('expected a text'),
    completions: z.array(z.string('expected a text'), 'expected a list of texts').min(1, 'expected at least one step, this is empty'),
    labels: z.array(label, 'expected a list of labels'),
  })
})

export const stepwiseFormat: RowFormat = {
  name: 'stepwise',
  shape: '{prompt, completions: [], labels: []}',
  columns: ['prompt', 'completions', 'labels'],
  schema,
  parse(row) {
    const result = schema().safeParse(row)
    if (!result.success) return { problem: describeIssue(result.error, row) }
    const { prompt, completions, labels } = result.data
    if (labels.length !== completions.length) return { problem: `labels: expected ${completions.length} values as completions has, got ${labels.length}` }
    const broken = findBrokenText(prompt, 'prompt') ?? findBrokenText(completions, 'completions')
    return broken === null ? { kind: 'stepwise', prompt, completions, labels: labels.map((label) => readLabel(label) === true) } : { problem: broken }
  },
}
