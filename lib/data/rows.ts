// Rows of all files, parsed: loader → format, with what a bad row does decided in one place.
import { fail, makeError, type ErrorCode } from '../core/errors/index.js'
import { findFormat, knownShapes, type ParsedRow } from './formats/index.js'
import { DatasetLoaderRegistry, type DataFile } from './loaders/index.js'
import { placeText, type LoadedRow, type OnBadRow, type RowPlace, type RowValue } from './types.js'

/** More bad rows than this share of all is an error even where they are skipped. */
const tolerated = 0.01
const keptExamples = 5
const shownColumns = 20

export interface SourceRow {
  row: ParsedRow
  /** Name of its format. */
  shape: string
  place: RowPlace
}

/** Counts bad rows; decides whether they end the run. */
export class BadRows {
  skipped = 0
  examples: string[] = []
  #good = 0
  #firstCode: ErrorCode = 'FT_DATASET_ROW'

  constructor(readonly onBadRow: OnBadRow) {}

  good(): void {
    this.#good++
  }

  /** Errors: the given code, unless bad rows are skipped. */
  bad(place: RowPlace, reason: string, code: ErrorCode = 'FT_DATASET_ROW', remedy?: string): void {
    const message = `${placeText(place)}: ${reason}`
    if (this.onBadRow === 'stop') {
      fail(code, message, { remedy: remedy ?? 'repair this row, or leave bad rows out with --on-bad-row skip', details: { ...place, reason } })
    }
    if (this.skipped++ === 0) this.#firstCode = code
    if (this.examples.length < keptExamples) this.examples.push(message)
  }

  /** Errors: when more than 1 % of the rows are bad. */
  check(): void {
    const all = this.#good + this.skipped
    if (this.skipped <= all * tolerated) return
    const share = `${this.skipped} of ${all} rows cannot be used (${((100 * this.skipped) / all).toFixed(1)} %), more than 1 % are an error`
    // When there is no good row at all, the first fault says what the file is.
    throw makeError(this.#good === 0 ? this.#firstCode : 'FT_DATASET_ROW', `${share}; the first: ${this.examples[0] ?? ''}`, {
      remedy: `repair these rows; known shapes: ${knownShapes()}`,
      details: { skipped: this.skipped, rows: all, examples: this.examples },
    })
  }
}

export interface ReadRowsOptions {
  files: readonly DataFile[]
  badRows: BadRows
  signal?: AbortSignal
  onBytes?(bytes: number): void
}

/** Every row that can be used, file by file, in order. */
export async function* readRows({ files, badRows, signal, onBytes }: ReadRowsOptions): AsyncGenerator<SourceRow> {
  for (const file of files) {
    const loader = await DatasetLoaderRegistry.forFile(file.path)
    for await (const loaded of loader.load(file.path, { signal, onBytes })) {
      const row = parse(loaded, badRows)
      if (row !== null) yield row
    }
  }
}

function parse(loaded: LoadedRow, badRows: BadRows): SourceRow | null {
  const { place } = loaded
  if ('problem' in loaded) {
    badRows.bad(place, loaded.problem)
    return null
  }
  const format = findFormat(loaded.value)
  if (format === undefined) {
    badRows.bad(place, `this row has the columns ${columnsOf(loaded.value)}, which are no known shape`, 'FT_NO_TEXT_COLUMNS', `known shapes: ${knownShapes()}; rename the columns`)
    return null
  }
  const row = format.parse(loaded.value)
  if ('problem' in row) {
    badRows.bad(place, row.problem)
    return null
  }
  return { row, shape: format.name, place }
}

function columnsOf(row: RowValue): string {
  const columns = Object.keys(row)
  if (columns.length === 0) return '(none)'
  const shown = columns.slice(0, shownColumns).map((name) => JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name))
  return `${shown.join(', ')}${columns.length > shownColumns ? ` and ${columns.length - shownColumns} more` : ''}`
}
