// The allowed names of a row, those that plugins registered included.
import type { KeyRow } from './row.js'

export function choicesOf(row: KeyRow): readonly string[] | undefined {
  return row.table?.list() ?? row.choices
}
