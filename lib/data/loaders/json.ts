// JSON: an array of objects; objects one after another (pretty-printed, or JSONL under another name); {"data": [rows]}, under
// any name; or an object of columns, {"text": [ … ], "label": [ … ]}. What an object at the begin is, its end tells: rows follow it, or nothing does.
import type { LoadedRow } from '../types.js'
import { RowSplitter } from './json-splitter.js'
import { expand, listAhead } from './json-wrapped.js'
import { defineLoader, type LoadOptions, type RowBatch } from './loader.js'
import { openText } from './read.js'
import { recogniseJson } from './sniff-json.js'

export const jsonLoader = defineLoader({
  name: 'json',
  extensions: ['.json'],
  recognises: (head, whole) => recogniseJson('json', head, whole),
  batches,
})

/** An object that begins with a list of objects, and is longer, is a list of rows: no more is held to see what follows it. */
const mostHeld = 16 << 20

async function* batches(file: string, options: LoadOptions = {}): AsyncGenerator<RowBatch> {
  const reader = new JsonReader(options.source?.name ?? file)
  const { chunks } = await openText(file, options)
  let row = 0
  const batch = function* (rows: LoadedRow[]): Generator<RowBatch> {
    if (rows.length > 0) yield { rows, start: { row } }
    row += rows.length
  }
  for await (const chunk of chunks) yield* batch(reader.push(chunk))
  yield* batch(reader.end())
}

class JsonReader {
  #splitter: RowSplitter
  /** The file so far, while it may be one object that is a list of rows. */
  #held: Buffer[] | null = null
  #heldBytes = 0
  /** That object has an end. */
  #ended = false
  /** Bytes of the file before that list. */
  #list = 0
  #begun = false
  /** The first of a sequence, which may be all there is. */
  #first: LoadedRow | null = null
  #given = false

  constructor(readonly file: string) {
    this.#splitter = new RowSplitter(file)
  }

  push(chunk: Buffer): LoadedRow[] {
    if (!this.#begun) this.#begin(chunk)
    const rows = this.#splitter.push(chunk)
    if (this.#held !== null && !this.#ended) {
      this.#held.push(chunk)
      this.#heldBytes += chunk.length
      this.#ended = rows.length > 0
      if (!this.#ended && this.#heldBytes > mostHeld) return this.#stream(this.#held)
    }
    return this.#sequence(rows)
  }

  end(): LoadedRow[] {
    if (this.#held !== null && !this.#ended) return this.#streamAll(this.#held)
    const rest = this.#sequence(this.#splitter.end())
    if (this.#first === null) return rest
    const rows = expand(this.#first)
    return this.#held !== null && isList(this.#first, rows) ? this.#streamAll(this.#held) : rows
  }

  /** Row by row: each has a place of its own, and a bad one spoils no other. */
  #streamAll(held: readonly Buffer[]): LoadedRow[] {
    return [...this.#stream(held), ...this.#splitter.end()]
  }

  #begin(chunk: Buffer): void {
    const list = listAhead(chunk)
    this.#begun = true
    if (list === null) return
    this.#list = list
    this.#held = []
  }

  /** From the list's begin on, row by row. */
  #stream(held: readonly Buffer[]): LoadedRow[] {
    const text = Buffer.concat(held)
    this.#held = null
    this.#splitter = new RowSplitter(this.file, { wrapped: true })
    this.#splitter.skip(text.subarray(0, this.#list))
    return this.#splitter.push(text.subarray(this.#list))
  }

  /** A first object is kept back until another follows it. */
  #sequence(read: LoadedRow[]): LoadedRow[] {
    if (this.#given || !this.#splitter.isSequence) return read
    const rows = this.#first === null ? read : [this.#first, ...read]
    this.#first = rows.length === 1 ? (rows[0] as LoadedRow) : null
    this.#given = rows.length > 1
    if (this.#given) this.#held = null
    return this.#given ? rows : []
  }
}

/** The rows are those of the list that the object begins with; or the object is broken, as rows of a list may be. */
function isList(object: LoadedRow, [row]: readonly LoadedRow[]): boolean {
  if (!('value' in object)) return true
  const [list] = Object.values(object.value)
  return Array.isArray(list) && row !== undefined && 'value' in row && row.value === list[0]
}
