// Rows inside a JSON object: {"data": [ … ]} under any name, or columns, {"text": [ … ], "label": [ … ]}. Only the one object of a file
// can hold rows; where others follow, each of them is a row.
import { fail } from '../../core/errors/index.js'
import { quotedName } from '../../utils/printable.js'
import { findFormat } from '../formats/index.js'
import { decodeUtf8 } from '../text.js'
import type { LoadedRow, RowValue } from '../types.js'
import { findJsonFault } from './json-error.js'
import { isRow } from './parse-row.js'
import { arrayColumns } from './sniff-json.js'

const wrappedHead = /^\s*\{\s*"([^"\\]{1,64})"\s*:\s*(?=\[\s*\{)/

/** Bytes up to the "[" of {"data": [{ …, which may be a list of rows; null: the file does not begin so. */
export function listAhead(head: Buffer): number | null {
  const found = wrappedHead.exec(head.subarray(0, 4096).toString('latin1'))
  return found === null || arrayColumns.has(found[1] as string) ? null : found[0].length
}

/** What a file's only object holds: itself, or rows. Errors: FT_DATASET where it holds several lists of rows. */
export function expand(only: LoadedRow): LoadedRow[] {
  if (!('value' in only)) return [only]
  const { place, value } = only
  const rows = rowsInside(value) ?? columnsOf(value)
  if (rows !== null) return rows.map((row) => ({ place, value: row }))
  const lists = listsOfRows(value)
  if (lists.length > 1 && !isOneRow(value)) refuseLists(`${place.file}:${place.line}`, lists)
  return [only]
}

/** {"version": "1", "data": [{…}, …]}: the one array of objects, beside anything that is no array; or the first of the object, beside other arrays. */
function rowsInside(value: RowValue): RowValue[] | null {
  const arrays = Object.entries(value).filter(([, one]) => Array.isArray(one) && one.length > 0)
  const lists = listsOfRows(value)
  const [name] = lists
  if (name === undefined || lists.length > 1 || isOneRow(value)) return null
  return arrays.length === 1 || Object.keys(value)[0] === name ? (value[name] as RowValue[]) : null
}

/** Names of the lists of objects; a conversation is none. */
function listsOfRows(value: RowValue): string[] {
  return Object.entries(value).flatMap(([name, one]) => (!arrayColumns.has(name) && Array.isArray(one) && one.length > 0 && one.every(isRow) && !one.every(isTurn) ? [name] : []))
}

function isTurn(value: RowValue): boolean {
  return ('role' in value && 'content' in value) || ('from' in value && 'value' in value)
}

/** It has the columns of a known shape, and they are no columns of many rows. */
function isOneRow(value: RowValue): boolean {
  return findFormat(value)?.columns.some((column) => !Array.isArray(value[column])) === true
}

function columnsOf(value: RowValue): RowValue[] | null {
  const columns = Object.entries(value)
  const length = Array.isArray(columns[0]?.[1]) ? columns[0][1].length : 0
  const isColumn = ([name, cells]: [string, unknown]): boolean =>
    Array.isArray(cells) && cells.length === length && (!arrayColumns.has(name) || cells.every((cell) => Array.isArray(cell) || typeof cell === 'string')) && !cells.every((cell) => isRow(cell) && isTurn(cell))
  if (length === 0 || !columns.every(isColumn)) return null
  return Array.from({ length }, (_, i) => Object.fromEntries(columns.map(([name, cells]) => [name, (cells as unknown[])[i]])))
}

/** What follows the list of rows in their object, up to its end: it must be JSON, and no other list of rows. Errors: FT_DATASET. */
export function checkRest(rest: Buffer, where: string): void {
  const text = decodeUtf8(rest)
  // The list itself stands for a number.
  const object = typeof text === 'number' ? null : `{"":0${text}`
  let value: unknown
  try {
    value = object === null ? null : JSON.parse(object)
  } catch {
    value = null
  }
  if (!isRow(value)) {
    fail('FT_DATASET', `${where}: not valid JSON after the list of rows: ${object === null ? 'the bytes are not UTF-8' : findJsonFault(object).reason}`, { remedy: 'repair the file, or write one JSON object a line to a .jsonl file' })
  }
  const others = listsOfRows(value)
  if (others.length > 0) refuseLists(where, others)
}

function refuseLists(where: string, names: readonly string[]): never {
  fail('FT_DATASET', `${where}: this object holds several lists that may be the rows, among them ${names.slice(0, 5).map((name) => quotedName(name)).join(', ')}`, {
    remedy: 'write the rows of one list to a file of its own; if the object is one row, read it with --data-format jsonl, on one line', details: { lists: names.slice(0, 20) },
  })
}
