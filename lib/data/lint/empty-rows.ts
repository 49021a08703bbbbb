// empty_rows: rows that say nothing, prompts whose answer does not, and data without any row.
import { emptyFilter } from '../filters/empty.js'
import { FilterRow } from '../filters/index.js'
import type { LintRule } from './rule.js'

export const emptyRowsRule: LintRule = {
  name: 'empty_rows',
  describe: 'a row or its answer is empty',
  remedy: 'leave them out with --filter empty',
  severity: 'error',
  open() {
    const filter = emptyFilter.open({})
    let rows = 0
    return {
      row({ source, side }) {
        rows++
        const reason = filter.row?.(new FilterRow(source.place, source.value, source.row, side)) ?? null
        return reason === null ? null : { message: reason }
      },
      *end() {
        if (rows === 0) yield { place: null, message: 'there is no row that can be used: training refuses it' }
      },
    }
  },
}
