// empty_rows: rows that say nothing, and prompts whose answer does not.
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
    return {
      row({ source, side }) {
        const reason = filter.row?.(new FilterRow(source.place, source.value, source.row, side)) ?? null
        return reason === null ? null : { message: reason }
      },
    }
  },
}
