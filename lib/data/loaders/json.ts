// JSON: an array of objects, or objects one after another (pretty-printed, or JSONL under another name).
// A scanner finds where each row ends, so memory is that of the longest row, not of the file.
import { fail } from '../../core/errors/index.js'
import type { LoadedRow } from '../types.js'
import { maxLineBytes } from './jsonl.js'
import { parseRow } from './parse-row.js'
import { readChunks } from './read.js'
import type { DatasetLoader, LoadOptions } from './registry.js'

export const jsonLoader: DatasetLoader = {
  name: 'json',
  extensions: ['.json'],
  recognises: (head) => /^\s*\[/.test(Buffer.from(head).toString('latin1')),
  load,
}

async function* load(file: string, options: LoadOptions = {}): AsyncGenerator<LoadedRow> {
  const splitter = new RowSplitter(file)
  for await (const chunk of readChunks(file, options)) yield* splitter.push(chunk)
  yield* splitter.end()
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const openArray = 0x5b
const closeArray = 0x5d
const openObject = 0x7b
const closeObject = 0x7d
const newline = 0x0a

/** Where the scanner stands between rows. */
type Between = 'start' | 'first element' | 'element' | 'comma' | 'sequence' | 'done'

class RowSplitter {
  #between: Between = 'start'
  #inRow = false
  #inText = false
  #escaped = false
  #depth = 0
  /** The row so far, when it began in an earlier chunk. */
  #parts: Buffer[] = []
  #size = 0
  #line = 1
  #lineStart = 0
  #offset = 0
  #start = { line: 1, column: 1 }

  constructor(readonly file: string) {}

  *push(chunk: Buffer): Generator<LoadedRow> {
    let from = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number
      if (this.#inRow) {
        // A bare value ends before the byte that ends it, which is then looked at again.
        if (this.#depth === 0 && !this.#inText && isEnd(byte)) {
          yield this.#row(chunk.subarray(from, i))
        } else if (this.#inside(byte)) {
          yield this.#row(chunk.subarray(from, i + 1))
          continue
        }
      }
      if (byte === newline) {
        this.#line++
        this.#lineStart = this.#offset + i + 1
      }
      if (!this.#inRow && !isSpace(byte) && this.#begins(byte, i)) {
        from = i
        if (this.#inside(byte)) yield this.#row(chunk.subarray(i, i + 1))
      }
    }
    if (this.#inRow) this.#keep(chunk.subarray(from))
    this.#offset += chunk.length
  }

  *end(): Generator<LoadedRow> {
    if (this.#inRow && this.#depth === 0 && !this.#inText) yield this.#row(Buffer.alloc(0))
    if (this.#inRow) this.#broken('the file ends inside this row', this.#start)
    if (this.#between === 'first element' || this.#between === 'element' || this.#between === 'comma') {
      this.#broken('the file ends before the array is closed with "]"', { line: this.#line, column: this.#offset - this.#lineStart + 1 })
    }
  }

  /** True when a row begins at this byte, between rows. */
  #begins(byte: number, i: number): boolean {
    const place = { line: this.#line, column: this.#offset + i - this.#lineStart + 1 }
    if (this.#between === 'start' && byte === openArray) {
      this.#between = 'first element'
      return false
    }
    if (this.#between === 'comma' || (this.#between === 'first element' && byte === closeArray)) {
      if (byte === closeArray) this.#between = 'done'
      else if (byte === comma) this.#between = 'element'
      else this.#broken('"," or "]" is expected after a row', place)
      return false
    }
    if (this.#between === 'done') this.#broken('something follows the end of the array', place)
    if (byte === comma || byte === closeArray || byte === closeObject) this.#broken('a row is expected', place)
    if (this.#between === 'start') this.#between = 'sequence'
    this.#inRow = true
    this.#start = place
    return true
  }

  /** Takes one byte of a row; true when it ends an object, an array or a text that is the whole row. */
  #inside(byte: number): boolean {
    if (this.#inText) {
      if (this.#escaped) this.#escaped = false
      else if (byte === backslash) this.#escaped = true
      else if (byte === quote) {
        this.#inText = false
        return this.#depth === 0
      }
      return false
    }
    if (byte === quote) this.#inText = true
    else if (byte === openObject || byte === openArray) this.#depth++
    else if (byte === closeObject || byte === closeArray) return --this.#depth === 0
    return false
  }

  #keep(bytes: Buffer): void {
    this.#size += bytes.length
    if (this.#size > maxLineBytes) this.#broken(`this row is longer than ${maxLineBytes >> 20} MiB`, this.#start)
    this.#parts.push(bytes)
  }

  #row(end: Buffer): LoadedRow {
    const bytes = this.#parts.length === 0 ? end : Buffer.concat([...this.#parts, end])
    this.#parts = []
    this.#size = 0
    this.#inRow = this.#inText = this.#escaped = false
    this.#depth = 0
    if (this.#between !== 'sequence') this.#between = 'comma'
    return parseRow(bytes, { file: this.file, ...this.#start })
  }

  /** Damage between rows: where the next one begins is not known, so no row after it can be trusted. */
  #broken(reason: string, place: { line: number; column: number }): never {
    fail('FT_DATASET', `${this.file}:${place.line}:${place.column}: not valid JSON: ${reason}`, {
      remedy: 'repair the file, or write one JSON object a line to a .jsonl file',
      details: { path: this.file, ...place },
    })
  }
}

function isSpace(byte: number): boolean {
  return byte === 32 || byte === newline || byte === 13 || byte === 9
}

function isEnd(byte: number): boolean {
  return isSpace(byte) || byte === comma || byte === closeArray || byte === closeObject || byte === openObject || byte === openArray
}
