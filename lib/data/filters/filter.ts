// What a row filter is. A filter says why a row goes, and never quotes it. To add one: a file beside this one, a row in
// index.ts, its options in core/config/filters.ts and its name in core/registry.ts.
import type { NamedFilter } from '../../core/config/filters.js'
import type { RowPlace, RowValue } from '../types.js'
import type { ParsedRow } from '../formats/index.js'
import { rowText } from '../row-text.js'

/** Rows to train on and rows of validation files are told apart: a copy on the other side is no duplicate but an overlap. */
export type Side = 'train' | 'validation'

/** A row on its way into the data. */
export class FilterRow {
  #text: string | undefined

  constructor(readonly place: RowPlace, readonly value: RowValue, readonly parsed: ParsedRow, readonly side: Side) {}

  /** Everything it says: see row-text.ts. */
  get text(): string {
    return (this.#text ??= rowText(this.parsed))
  }
}

export interface RowFilter {
  /** Before tokens. Why the row goes, or null. Rows come in the order of the data. */
  row?(row: FilterRow): string | null
  /** After tokenizing, before truncation. @param length tokens of the row */
  tokens?(length: number): string | null
  /** The row is part of the data now, as number `index`. */
  taken?(index: number, row: FilterRow): void
  /** All rows are there and it is decided which are held out: rows to train on that go, with the reason. */
  split?(held: ReadonlySet<number>): Map<number, string>
  /** All rows are there. Errors: FT_INVALID_CONFIG when the filter could not have worked on these. */
  end?(): void
}

export interface FilterKind {
  /** "exact_duplicates" */
  readonly name: string
  readonly describe: string
  open(options: NamedFilter['options']): RowFilter
}
