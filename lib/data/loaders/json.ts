// JSON: an array of objects; objects one after another (pretty-printed, or JSONL under another name); {"data": [rows]}, under
// any name; or an object of columns, {"text": [ … ], "label": [ … ]}.
import type { LoadedRow, RowValue } from '../types.js'
import { RowSplitter } from './json-splitter.js'
import { defineLoader, type LoadOptions, type RowBatch } from './loader.js'
import { isRow } from './parse-row.js'
import { openText } from './read.js'
import { arrayColumns, recogniseJson } from './sniff-json.js'

export const jsonLoader = defineLoader({
  name: 'json',
  extensions: ['.json'],
  recognises: (head, whole) => recogniseJson('json', head, whole),
  batches,
})

/** {"data": [{ …: known to hold rows before all of it is read. */
const wrappedHead = /^\s*\{\s*"([^"\\]{1,64})"\s*:\s*(?=\[\s*\{)/

async function* batches(file: string, options: LoadOptions = {}): AsyncGenerator<RowBatch> {
  const name = options.source?.name ?? file
  const { chunks } = await openText(file, options)
  let splitter: RowSplitter | undefined
  /** The first of a sequence, which may be all there is. */
  let first: LoadedRow | null = null
  let row = 0
  const batch = function* (read: LoadedRow[], end: boolean): Generator<RowBatch> {
    let rows = read
    if (row === 0 && splitter?.isSequence === true) {
      rows = first === null ? read : [first, ...read]
      first = rows.length === 1 ? (rows[0] as LoadedRow) : null
      if (first !== null) {
        if (!end) return
        rows = expand(first)
      }
    }
    if (rows.length === 0) return
    yield { rows, start: { row } }
    row += rows.length
  }
  for await (const chunk of chunks) {
    let rest = chunk
    if (splitter === undefined) {
      const head = wrappedHead.exec(chunk.subarray(0, 4096).toString('latin1'))
      const wrapped = head !== null && !arrayColumns.has(head[1] as string)
      splitter = new RowSplitter(name, { wrapped })
      if (wrapped) {
        splitter.skip(chunk.subarray(0, head[0].length))
        rest = chunk.subarray(head[0].length)
      }
    }
    yield* batch(splitter.push(rest), false)
  }
  if (splitter !== undefined) yield* batch(splitter.end(), true)
}

/** What a file's only object holds: itself, or rows. */
function expand(only: LoadedRow): LoadedRow[] {
  if (!('value' in only)) return [only]
  const { place, value } = only
  const rows = rowsInside(value) ?? columnsOf(value)
  return rows === null ? [only] : rows.map((row) => ({ place, value: row }))
}

/** {"version": "1", "data": [{…}, …]}: the one array of objects, beside anything that is no array. */
function rowsInside(value: RowValue): RowValue[] | null {
  const arrays = Object.entries(value).filter(([, one]) => Array.isArray(one) && one.length > 0)
  const [only] = arrays
  if (only === undefined || arrays.length > 1 || arrayColumns.has(only[0])) return null
  const rows = only[1] as unknown[]
  return rows.every(isRow) ? rows : null
}

function columnsOf(value: RowValue): RowValue[] | null {
  const columns = Object.entries(value)
  const length = Array.isArray(columns[0]?.[1]) ? columns[0][1].length : 0
  const isColumn = ([name, cells]: [string, unknown]): boolean =>
    Array.isArray(cells) && cells.length === length && (!arrayColumns.has(name) || cells.every((cell) => Array.isArray(cell) || typeof cell === 'string'))
  if (length === 0 || !columns.every(isColumn)) return null
  return Array.from({ length }, (_, i) => Object.fromEntries(columns.map(([name, cells]) => [name, (cells as unknown[])[i]])))
}
