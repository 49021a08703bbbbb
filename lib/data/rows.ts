// Rows of all files, parsed: loader → format, with what a bad row does decided in one place.
import { fail, makeError, type ErrorCode } from '../core/errors/index.js'
import { TextColumnDetector } from './detect-columns.js'
import { knownShapes, type ParsedRow } from './formats/index.js'
import type { FileReader, RowReader } from './formats/reader.js'
import { readFileRows } from './loaders/open.js'
import type { DataFile } from './sources/find.js'
import { mixRows, startOfMix } from './sources/mix.js'
import { groupFiles } from './sources/stream.js'
import { placeText, type LoadedRow, type OnBadRow, type RowPlace, type RowValue } from './types.js'

/** More bad rows than this share of all is an error even where they are skipped. */
const tolerated = 0.01
const keptExamples = 5

/** A tokenizer takes some 250 bytes of memory and 10 µs for each. */
const defaultRowCharacters = 1 << 21

/** Errors: FT_INVALID_ARGUMENT. */
export function checkRowLimit(limit: number | undefined): void {
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0)) fail('FT_INVALID_ARGUMENT', `maxRowCharacters must be an integer of at least 1, got ${limit}`)
}

/** False, and the row is bad: nothing could be learned from one so long, and tokenizing it would take all memory. */
export function rowFits({ row, place }: SourceRow, badRows: BadRows, limit = defaultRowCharacters): boolean {
  if (row.kind === 'tokens') return true
  const size = rowSize(row)
  if (size <= limit) return true
  badRows.bad(place, `the row has ${size} characters, more than ${limit}`, 'FT_DATASET_ROW', 'split the text into rows (plain text: --sample-by paragraph), leave such rows out (--filter \'{"length": {"max_characters": …}}\', or --on-bad-row skip), or raise --max-row-characters')
  return false
}

/** Characters of what is tokenized, about; of a row in tokens, these. */
export function rowSize(row: ParsedRow): number {
  switch (row.kind) {
    case 'instruction':
      return row.pair.prompt.length + row.pair.completion.length
    case 'text':
      return row.text.length
    case 'pair':
      return row.prompt.length + row.completion.length
    case 'tokens':
      return row.inputIds.length
    case 'chat':
      return row.messages.reduce((sum, message) => sum + (typeof message.content === 'string' ? message.content.length : JSON.stringify(message).length), 0)
    default:
      // Refused before it becomes tokens.
      return 0
  }
}

export interface SourceRow {
  row: ParsedRow
  /** Name of its format. */
  shape: string
  place: RowPlace
  /** The columns as they came. */
  value: RowValue
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

  /** Errors: the given code, unless bad rows are skipped. @param _source the row, where it could be read and became no tokens */
  bad(place: RowPlace, reason: string, code: ErrorCode = 'FT_DATASET_ROW', remedy?: string, _source?: SourceRow): void {
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
  reader: RowReader
  badRows: BadRows
  signal?: AbortSignal
  onBytes?(bytes: number): void
}

/** Every row that can be used: file by file, in order, or sources interleaved where they have weights. */
export async function* readRows({ files, ...options }: ReadRowsOptions): AsyncGenerator<SourceRow> {
  const mix = files[0]?.mix
  if (mix === undefined) return yield* readFiles({ files, ...options })
  const groups = groupFiles(files)
  const sources = groups.map((group) => ({ weight: group[0]?.mix?.weight ?? 1, open: () => readFiles({ files: group, ...options }) }))
  for await (const [row] of mixRows(sources, { ...mix, cursor: startOfMix(groups.length) })) yield row
}

/**
 * File by file. Where the first row of a file is no known shape, the rows that a detector
 * looks at are held back until it has seen enough.
 */
async function* readFiles({ files, reader: all, badRows, signal, onBytes }: ReadRowsOptions): AsyncGenerator<SourceRow> {
  for (const file of files) {
    const reader = all.ofFile(file.path)
    const held: LoadedRow[] = []
    let sample: TextColumnDetector | null = null
    let first = true
    for await (const loaded of readFileRows(file, { signal, onBytes })) {
      if (first && !('problem' in loaded)) {
        first = false
        if (reader.wantsDetection(loaded.value)) sample = new TextColumnDetector()
      }
      if (sample === null) {
        const row = parse(loaded, reader, badRows)
        if (row !== null) yield row
        continue
      }
      held.push(loaded)
      if ('problem' in loaded || sample.observe(loaded.value)) continue
      reader.detect(sample)
      sample = null
      yield* parseAll(held.splice(0), reader, badRows)
    }
    if (sample !== null) reader.detect(sample)
    yield* parseAll(held, reader, badRows)
  }
}

function* parseAll(loaded: readonly LoadedRow[], reader: FileReader, badRows: BadRows): Generator<SourceRow> {
  for (const one of loaded) {
    const row = parse(one, reader, badRows)
    if (row !== null) yield row
  }
}

function parse(loaded: LoadedRow, reader: FileReader, badRows: BadRows): SourceRow | null {
  const { place } = loaded
  const result = 'problem' in loaded ? loaded : reader.read(loaded.value)
  if (!('problem' in result || 'problem' in loaded)) return { ...result, place, value: loaded.value }
  const { problem, code, remedy } = result as { problem: string; code?: ErrorCode; remedy?: string }
  badRows.bad(place, problem, code, remedy)
  return null
}
