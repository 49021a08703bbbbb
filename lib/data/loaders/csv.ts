// CSV and TSV (RFC 4180) by csv-parse: the first row names the columns, cells are text. Delimiter and encoding are
// detected unless the configuration says them. Memory is that of the longest row.
import { isUtf8 } from 'node:buffer'
import type { CsvError } from 'csv-parse'
import { pipeline, Readable } from 'node:stream'
import { fail, makeError } from '../../core/errors/index.js'
import { withoutCutCharacter } from '../text.js'
import type { LoadedRow } from '../types.js'
import { detectDelimiter } from './csv-delimiter.js'
import { libraries } from './libraries.js'
import { defineLoader, type LoadOptions, type RowBatch } from './loader.js'
import { openText } from './read.js'
import { recogniseTable } from './sniff-table.js'

/** A row that is longer has most likely a quote that is never closed. */
const maxRowCharacters = 1 << 26
const batchRows = 256

export const csvLoader = defineLoader({ name: 'csv', extensions: ['.csv'], recognises: (head, whole) => recogniseTable([',', ';', '|'], head, whole), batches: (file, options) => batches(file, options ?? {}, undefined) })
export const tsvLoader = defineLoader({ name: 'tsv', extensions: ['.tsv', '.tab'], recognises: (head, whole) => recogniseTable(['\t'], head, whole), batches: (file, options) => batches(file, options ?? {}, '\t') })

interface Record {
  cells: string[]
  /** The line that it ends on. */
  end: number
}

async function* batches(file: string, options: LoadOptions, fallback: string | undefined): AsyncGenerator<RowBatch> {
  const name = options.source?.name ?? file
  const { head, chunks } = await withHead((await openText(file, options, { guess: true })).chunks)
  const delimiter = options.delimiter ?? fallback ?? detectDelimiter(head.toString('utf8'))
  const utf8 = new Utf8Watch()
  const reader = new RowReader(name, utf8)
  let row = 0
  let rows: LoadedRow[] = []
  for await (const record of records(name, utf8.watch(chunks), delimiter)) {
    const made = reader.take(record)
    if (made !== null) rows.push(made)
    if (rows.length < batchRows) continue
    yield { rows, start: { row } }
    row += rows.length
    rows = []
  }
  if (rows.length > 0) yield { rows, start: { row } }
}

async function* records(file: string, chunks: AsyncIterable<Buffer>, delimiter: string): AsyncGenerator<Record> {
  const lines = new LineCount()
  const parser = libraries.csvParse().parse({ delimiter, on_record: lines.place, relax_column_count: true, relax_quotes: true, skip_empty_lines: true, max_record_size: maxRowCharacters })
  pipeline(Readable.from(chunks, { objectMode: true }), parser, () => undefined)
  try {
    for await (const cells of parser) yield { cells: cells as string[], end: lines.take() }
  } catch (error) {
    throw csvError(file, error, lines.end + 1)
  } finally {
    parser.destroy()
  }
}

/** The parser counts a CRLF inside quotes twice. */
class LineCount {
  /** Line on which the last record ends that the parser has seen. */
  end = 0
  #twice = 0
  /** Of the records that wait to be taken. */
  readonly #ends: number[] = []

  readonly place = (cells: string[], { lines }: { lines: number }): string[] => {
    for (const cell of cells) this.#twice += count(cell, '\r\n')
    this.end = lines - this.#twice
    this.#ends.push(this.end)
    return cells
  }

  take(): number {
    return this.#ends.shift() as number
  }
}

function count(text: string, what: string): number {
  let found = 0
  for (let at = text.indexOf(what); at >= 0; at = text.indexOf(what, at + what.length)) found++
  return found
}

/** @param line where the row that cannot be read begins */
function csvError(file: string, error: unknown, line: number): unknown {
  const { code } = error as CsvError
  if (typeof code !== 'string' || !code.startsWith('CSV_')) return error
  const reason = code === 'CSV_QUOTE_NOT_CLOSED' ? 'a quoted cell is not closed' : code === 'CSV_MAX_RECORD_SIZE' ? `a row is longer than ${maxRowCharacters >> 20} MiB: perhaps a quote is not closed` : 'the table cannot be read'
  // The library's own message quotes the row.
  return makeError('FT_DATASET', `${file}:${line}: ${reason}`, {
    remedy: 'repair the table: a cell with quotes, delimiters or line ends stands in double quotes, and quotes inside it are doubled', details: { path: file, line },
  })
}

/** The parser writes U+FFFD for bytes that are not UTF-8; whether a cell's own U+FFFD may be one is seen here. */
class Utf8Watch {
  broken = false

  async *watch(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let carried = Buffer.alloc(0)
    for await (const chunk of chunks) {
      const bytes = carried.length === 0 ? chunk : Buffer.concat([carried, chunk])
      const whole = withoutCutCharacter(bytes)
      if (!isUtf8(whole)) this.broken = true
      carried = Buffer.from(bytes.subarray(whole.length))
      yield chunk
    }
    if (carried.length > 0) this.broken = true
  }
}

/** Records as rows; the first one is the header. */
class RowReader {
  #columns: string[] | null = null
  /** Line at which the next record begins. */
  #line = 1

  constructor(
    readonly file: string,
    readonly utf8: Utf8Watch,
  ) {}

  take({ cells: record, end }: Record): LoadedRow | null {
    const line = Math.max(this.#line, end - record.reduce((sum, cell) => sum + count(cell, '\n'), 0))
    this.#line = end + 1
    if (this.#columns === null) {
      this.#columns = checkHeader(this.file, record, line)
      return null
    }
    const place = { file: this.file, line }
    const columns = this.#columns
    if (record.length !== columns.length) return { place, problem: `the row has ${record.length} cells, the header ${columns.length}` }
    const value: { [column: string]: string } = {}
    for (let i = 0; i < columns.length; i++) {
      const cell = record[i] as string
      if (cell.includes('\0')) return { place, problem: `column ${i + 1} holds a NUL character` }
      if (this.utf8.broken && cell.includes('\ufffd')) return { place, problem: `column ${i + 1}: the bytes are not UTF-8` }
      value[columns[i] as string] = cell
    }
    return { place, value }
  }
}

/** An empty name is called as pandas calls it: index columns have none. Errors: FT_DATASET. */
function checkHeader(file: string, record: readonly string[], line: number): string[] {
  const names = record.map((name, i) => (name.trim() === '' ? `Unnamed: ${i}` : name.trim()))
  const seen = new Map<string, number>()
  names.forEach((name, i) => {
    const before = seen.get(name)
    const problem = before !== undefined ? `the columns ${before + 1} and ${i + 1} have the same name, ${JSON.stringify(name.slice(0, 40))}` : name === '__proto__' ? `a column cannot be named ${name}` : null
    if (problem !== null) fail('FT_DATASET', `${file}:${line}: ${problem}`, { remedy: 'rename the columns: the first row of a table names them', details: { path: file, line } })
    seen.set(name, i)
  })
  return names
}

/** The first chunk, and all of them. */
async function withHead(chunks: AsyncIterable<Buffer>): Promise<{ head: Buffer; chunks: AsyncIterable<Buffer> }> {
  const iterator = chunks[Symbol.asyncIterator]()
  const first = await iterator.next()
  async function* all(): AsyncGenerator<Buffer> {
    try {
      for (let next = first; next.done !== true; next = await iterator.next()) yield next.value
    } finally {
      await iterator.return?.()
    }
  }
  return { head: first.done === true ? Buffer.alloc(0) : first.value, chunks: all() }
}
