// DatasetFilter: a list of row filters as one. Every row that goes is counted and some are named, by file and line and never
// by what they say; a row is counted by the first filter that takes it.
import { failWith } from '../core/config/problems.js'
import { isProblem, readFilter, type FilterEntry } from '../core/config/filters.js'
import { fail, makeError } from '../core/errors/index.js'
import { checkOptions } from '../core/options.js'
import { filterKinds, FilterRow, type RowFilter, type Side } from './filters/index.js'
import { findFormat, type ParsedRow } from './formats/index.js'
import { placeText, type FilterReport, type LoadedRow, type RowPlace, type RowValue } from './types.js'

/** True: the row stays. */
export type KeepRow = (row: RowValue, place: RowPlace) => boolean
/** "empty", { length: { min_characters: 10 } }, or a function of a program. */
export type FilterInput = FilterEntry | KeepRow

const keptExamples = 5
const excerptCharacters = 200

interface Opened {
  report: FilterReport
  filter: RowFilter
}

export interface DatasetFilterOptions {
  /** The report also has what the first rows say that go. Default: places and reasons alone. */
  excerpts?: boolean
}

export class DatasetFilter {
  readonly #filters: readonly Opened[]
  readonly #excerpts: boolean
  /** Of the rows of the data, while a filter waits for the split and excerpts are wanted. */
  readonly #taken: string[] = []

  /** Errors: FT_INVALID_CONFIG, FT_INVALID_ARGUMENT. */
  constructor(filters: FilterInput | readonly FilterInput[] = [], options: DatasetFilterOptions = {}) {
    checkOptions('DatasetFilter', options, { excerpts: true })
    this.#excerpts = options.excerpts ?? false
    const list = (Array.isArray(filters) ? filters : [filters]) as readonly FilterInput[]
    this.#filters = list.map((entry, i) => open(entry, `dataset.filters[${i}]`))
  }

  /** What each filter has removed so far, in their order. */
  get report(): FilterReport[] {
    return this.#filters.map(({ report }) => ({ ...report, examples: [...report.examples], ...(report.excerpts === undefined ? {} : { excerpts: [...report.excerpts] }) }))
  }

  /** The same of rows that were not tokenized: which filters had limits that nobody could look at. */
  get reportWithoutTokens(): FilterReport[] {
    return this.report.map((report, i) => (this.#filters[i]?.filter.tokens === undefined ? report : { ...report, needsTokens: true as const }))
  }

  get removed(): number {
    return this.#filters.reduce((sum, { report }) => sum + report.removed, 0)
  }

  /** Before tokens. Errors: those of an expression or of a program's function. */
  keeps(row: FilterRow): boolean {
    return this.#filters.every((one) => this.#note(one, row.place, one.filter.row?.(row) ?? null, () => excerptOf(row)))
  }

  /** @param length tokens before truncation */
  keepsTokens(length: number, row: FilterRow): boolean {
    return this.#filters.every((one) => this.#note(one, row.place, one.filter.tokens?.(length) ?? null, () => excerptOf(row)))
  }

  /** The row is number `index` of the data. */
  taken(index: number, row: FilterRow): void {
    for (const { filter } of this.#filters) filter.taken?.(index, row)
    if (this.#excerpts && this.waitsForSplit) this.#taken[index] = excerptOf(row)
  }

  /** True where some filter looks at rows again once the split is decided: the places of rows are then needed. */
  get waitsForSplit(): boolean {
    return this.#filters.some(({ filter }) => filter.split !== undefined)
  }

  /** Rows to train on that go because of the rows that are held out. */
  split(held: ReadonlySet<number>, placeOf: (index: number) => RowPlace): Set<number> {
    const gone = new Set<number>()
    for (const one of this.#filters) {
      for (const [index, reason] of one.filter.split?.(held) ?? []) {
        if (gone.has(index)) continue
        gone.add(index)
        this.#note(one, placeOf(index), reason, () => this.#taken[index] ?? '')
      }
    }
    return gone
  }

  /** All rows have been seen. Errors: FT_INVALID_CONFIG where an expression names a column that none has. */
  end(): void {
    for (const { filter } of this.#filters) filter.end?.()
  }

  /** The rows that stay, for programs; a row that could not be read passes through. Filters by tokens or by the split do nothing here. */
  async *apply(rows: AsyncIterable<LoadedRow> | Iterable<LoadedRow>, side: Side = 'train'): AsyncGenerator<LoadedRow> {
    for await (const row of rows) {
      if (typeof row?.place !== 'object') fail('FT_INVALID_ARGUMENT', 'DatasetFilter.apply takes rows with their places: { value, place }', { remedy: "for example { value: row, place: { file: 'mine', line: 1 } }, or those of streamRows" })
      if ('problem' in row || this.keeps(new FilterRow(row.place, row.value, parsed(row.value), side))) yield row
    }
    this.end()
  }

  #note({ report }: Opened, place: RowPlace, reason: string | null, excerpt: () => string): boolean {
    if (reason === null) return true
    report.removed++
    if (report.examples.length >= keptExamples) return false
    report.examples.push(`${placeText(place)}: ${reason}`)
    if (this.#excerpts) (report.excerpts ??= []).push({ place: placeText(place), reason, text: excerpt() })
    return false
  }
}

function excerptOf({ text }: FilterRow): string {
  // Not half of a pair; and not a slice that keeps all of a huge text in memory.
  return Buffer.from(text.slice(0, excerptCharacters).replace(/[\ud800-\udbff]$/, '')).toString()
}

function open(entry: FilterInput, where: string): Opened {
  if (typeof entry === 'function') return { report: { filter: entry.name || 'function', removed: 0, examples: [] }, filter: { row: ({ value, place }) => callKeep(entry, value, place) } }
  const read = readFilter(entry, where)
  if (isProblem(read)) {
    failWith([read])
    throw new TypeError('unreachable')
  }
  return { report: { filter: read.name, removed: 0, examples: [] }, filter: filterKinds.get(read.name).open(read.options) }
}

function callKeep(keep: KeepRow, row: RowValue, place: RowPlace): string | null {
  try {
    return keep(row, place) ? null : 'not wanted'
  } catch (error) {
    throw makeError('FT_DATASET_ROW', `${placeText(place)}: the filter function failed on this row: ${error instanceof Error ? error.message : String(error)}`, { cause: error, details: { ...place } })
  }
}

/** A row of unknown columns says what its texts say. */
function parsed(value: RowValue): ParsedRow {
  const row = findFormat(value)?.parse(value)
  if (row !== undefined && !('problem' in row)) return row
  return { kind: 'text', text: Object.values(value).filter((one) => typeof one === 'string').join('\n') }
}
