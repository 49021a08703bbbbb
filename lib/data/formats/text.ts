// {text}: plain text, all of it with loss.
import { lazily } from '../../core/zod.js'
import { describeIssue, findBrokenText, type RowFormat } from './format.js'

const schema = lazily((z) => z.looseObject({ text: z.string('expected a text') }))

export const textFormat: RowFormat = {
  name: 'text',
  shape: '{text}',
  columns: ['text'],
  schema,
  parse(row) {
    const result = schema().safeParse(row)
    if (!result.success) return { problem: describeIssue(result.error, row) }
    const { text } = result.data
    const broken = findBrokenText(text, 'text')
    return broken === null ? { kind: 'text', text } : { problem: broken }
  },
}
