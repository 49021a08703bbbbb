// empty: rows that say nothing, and rows whose answer does not: a completion, or the last turn of the assistant.
import type { ParsedRow } from '../formats/index.js'
import { rowText } from '../row-text.js'
import type { FilterKind } from './filter.js'

export const emptyFilter: FilterKind = {
  name: 'empty',
  describe: 'rows without any visible character, and answers without one',
  open: () => ({
    row: ({ parsed, text }) => (/\S/.test(text) ? emptyAnswer(parsed.kind === 'instruction' ? parsed.pair : parsed) : 'nothing in it'),
  }),
}

/** A turn that only calls a tool, or thinks, says something. */
function emptyAnswer(row: ParsedRow): string | null {
  if (row.kind === 'pair') return /\S/.test(row.completion) ? null : 'an empty completion'
  if (row.kind !== 'chat') return null
  const last = row.messages.findLast(({ role }) => role === 'assistant')
  return last === undefined || /\S/.test(rowText({ kind: 'chat', messages: [last], tools: null })) ? null : 'an empty answer'
}
