// Finds where each row of a JSON text ends, without parsing it: memory is that of the longest row, not of the file.
// Inside texts it jumps from quote to quote, which is most of a text's bytes.
import { fail } from '../../core/errors/index.js'
import type { LoadedRow } from '../types.js'
import { checkRest } from './json-wrapped.js'
import { maxLineBytes } from './lines.js'
import { parseRow } from './parse-row.js'

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const openArray = 0x5b
const closeArray = 0x5d
const openObject = 0x7b
const closeObject = 0x7d
const newline = 0x0a

/** More than this does not follow the rows of a wrapped file. */
const mostRest = 16 << 20

/** Where the scanner stands between rows. 'rest': in what follows the array of a wrapped file. */
type Between = 'start' | 'first element' | 'element' | 'comma' | 'sequence' | 'rest' | 'done'

export interface SplitterOptions {
  /** The array of rows is a value inside an object, which goes on after it with anything but other rows. */
  wrapped?: boolean
}

export class RowSplitter {
  #between: Between = 'start'
  #inRow = false
  #inText = false
  #escaped = false
  /** The row is a number or a word, which ends before the byte that ends it. */
  #bare = false
  #depth = 0
  /** The row so far, when it began in an earlier chunk. */
  #parts: Buffer[] = []
  #size = 0
  #line = 1
  #lineStart = 0
  /** Up to here line ends are counted; in bytes of the text. */
  #counted = 0
  #offset = 0
  #start = { line: 1, column: 1 }

  constructor(readonly file: string, readonly options: SplitterOptions = {}) {}

  /** Objects one after another, and not the elements of an array. */
  get isSequence(): boolean {
    return this.#between === 'sequence'
  }

  /** Passes over bytes before the array of a wrapped file. */
  skip(chunk: Buffer): void {
    this.#countLines(chunk, chunk.length)
    this.#offset += chunk.length
  }

  push(chunk: Buffer): LoadedRow[] {
    const rows: LoadedRow[] = []
    let from = 0
    for (let i = 0; i < chunk.length; ) {
      if (this.#inRow) {
        i = this.#scan(chunk, i)
        if (i < 0) break
        if (this.#between === 'rest') this.#endRest(chunk.subarray(from, i))
        else rows.push(this.#row(chunk.subarray(from, i)))
        continue
      }
      const byte = chunk[i] as number
      if (isSpace(byte)) {
        i++
      } else if (this.#begins(chunk, i)) {
        from = i
      } else {
        i++
      }
    }
    if (this.#inRow) this.#keep(chunk.subarray(from))
    this.#countLines(chunk, chunk.length)
    this.#offset += chunk.length
    return rows
  }

  end(): LoadedRow[] {
    const end = { line: this.#line, column: this.#offset - this.#lineStart + 1 }
    if (this.#between === 'rest') this.#broken('the file ends before the object is closed with "}"', end)
    const rows = this.#inRow && this.#depth === 0 && !this.#inText ? [this.#row(Buffer.alloc(0))] : []
    if (this.#inRow) this.#broken('the file ends inside this row', this.#start)
    const open = this.#between === 'first element' || this.#between === 'element' || this.#between === 'comma'
    if (open) this.#broken('the file ends before the array is closed with "]"', end)
    return rows
  }

  /** Between rows: true when one begins at this byte. */
  #begins(chunk: Buffer, i: number): boolean {
    const byte = chunk[i] as number
    if (this.#between === 'start' && byte === openArray) {
      this.#between = 'first element'
      return false
    }
    if (this.#between === 'comma' || (this.#between === 'first element' && byte === closeArray)) {
      if (byte === closeArray) this.#between = this.options.wrapped ? 'rest' : 'done'
      else if (byte === comma) this.#between = 'element'
      else this.#broken('"," or "]" is expected after a row', this.#place(chunk, i))
      return false
    }
    if (this.#between === 'done') this.#afterEnd(this.#place(chunk, i))
    if (this.#between === 'rest') {
      // Inside the object.
      this.#depth = 1
      this.#inRow = true
      this.#start = this.#place(chunk, i)
      return true
    }
    if (byte === comma || byte === closeArray || byte === closeObject) this.#broken('a row is expected', this.#place(chunk, i))
    if (this.#between === 'start') this.#between = 'sequence'
    this.#inRow = true
    this.#start = this.#place(chunk, i)
    return true
  }

  /** Goes through a row from byte i on; the index after its end, or -1 where the chunk ends first. */
  #scan(chunk: Buffer, i: number): number {
    let depth = this.#depth
    let inText = this.#inText
    let quoteAt = -1
    let slashAt = -1
    while (i < chunk.length) {
      if (inText) {
        if (this.#escaped) {
          this.#escaped = false
          i++
          continue
        }
        if (quoteAt < i) quoteAt = indexOrEnd(chunk, quote, i)
        if (slashAt < i) slashAt = indexOrEnd(chunk, backslash, i)
        if (slashAt < quoteAt) {
          this.#escaped = true
          i = slashAt + 1
        } else {
          inText = quoteAt >= chunk.length
          i = Math.min(quoteAt + 1, chunk.length)
          if (!inText && depth === 0) return this.#ended(i)
        }
        continue
      }
      const byte = chunk[i] as number
      if (this.#bare && isEnd(byte)) return this.#ended(i)
      i++
      if (byte === quote) inText = true
      else if (byte === openObject || byte === openArray) depth++
      else if (byte === closeObject || byte === closeArray) {
        if (--depth === 0) return this.#ended(i)
      } else if (depth === 0) this.#bare = true
    }
    this.#depth = depth
    this.#inText = inText
    return -1
  }

  #ended(i: number): number {
    this.#depth = 0
    this.#inText = this.#bare = this.#escaped = false
    return i
  }

  #keep(bytes: Buffer): void {
    this.#size += bytes.length
    if (this.#between === 'rest' && this.#size > mostRest) this.#broken(`more than ${mostRest >> 20} MiB follow the list of rows in its object`, this.#start)
    if (this.#size > maxLineBytes) this.#broken(`this row is longer than ${maxLineBytes >> 20} MiB`, this.#start)
    this.#parts.push(bytes)
  }

  #take(end: Buffer): Buffer {
    const bytes = this.#parts.length === 0 ? end : Buffer.concat([...this.#parts, end])
    this.#parts = []
    this.#size = 0
    this.#inRow = false
    return bytes
  }

  #endRest(end: Buffer): void {
    checkRest(this.#take(end), `${this.file}:${this.#start.line}:${this.#start.column}`)
    this.#between = 'done'
  }

  #row(end: Buffer): LoadedRow {
    const bytes = this.#take(end)
    if (this.#between !== 'sequence') this.#between = 'comma'
    return parseRow(bytes, { file: this.file, ...this.#start })
  }

  #place(chunk: Buffer, i: number): { line: number; column: number } {
    this.#countLines(chunk, i)
    return { line: this.#line, column: this.#offset + i - this.#lineStart + 1 }
  }

  #countLines(chunk: Buffer, end: number): void {
    for (let at = chunk.indexOf(newline, this.#counted - this.#offset); at >= 0 && at < end; at = chunk.indexOf(newline, at + 1)) {
      this.#line++
      this.#lineStart = this.#offset + at + 1
    }
    this.#counted = this.#offset + end
  }

  #afterEnd(place: { line: number; column: number }): never {
    if (!this.options.wrapped) this.#broken('something follows the end of the array', place)
    fail('FT_DATASET', `${this.file}:${place.line}:${place.column}: something follows an object of many rows: it may have been a row itself`, {
      remedy: 'if every line is a row, say so with --data-format jsonl; otherwise write the rows to one list',
      details: { path: this.file, ...place },
    })
  }

  /** Damage between rows: where the next one begins is not known, so no row after it can be trusted. */
  #broken(reason: string, place: { line: number; column: number }): never {
    fail('FT_DATASET', `${this.file}:${place.line}:${place.column}: not valid JSON: ${reason}`, {
      remedy: 'repair the file, or write one JSON object a line to a .jsonl file',
      details: { path: this.file, ...place },
    })
  }
}

function indexOrEnd(chunk: Buffer, byte: number, from: number): number {
  const at = chunk.indexOf(byte, from)
  return at < 0 ? chunk.length : at
}

function isSpace(byte: number): boolean {
  return byte === 32 || byte === newline || byte === 13 || byte === 9
}

function isEnd(byte: number): boolean {
  return isSpace(byte) || byte === comma || byte === closeArray || byte === closeObject || byte === openObject || byte === openArray
}
