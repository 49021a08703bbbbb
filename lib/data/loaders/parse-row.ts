// One row's text → an object, or the place and reason of the fault.
import { parseExact } from '../exact.js'
import { decodeUtf8 } from '../text.js'
import type { LoadedRow, RowPlace, RowValue } from '../types.js'
import { findJsonFault } from './json-error.js'

/** Where the first character of a row stands. */
export type RowBegin = RowPlace & { column: number }

export function parseRow(bytes: Buffer, start: RowBegin): LoadedRow {
  const text = decodeUtf8(bytes)
  if (typeof text !== 'number') return parseText(text, start)
  const before = bytes.subarray(0, text).toString('utf8')
  return { place: move(start, before), problem: 'the bytes are not UTF-8' }
}

/** `start` is where the text begins; places inside the row are worked out from it. */
export function parseText(text: string, start: RowBegin): LoadedRow {
  let value: unknown
  try {
    value = parseExact(text)
  } catch {
    const fault = findJsonFault(text)
    return { place: move(start, text.slice(0, fault.index)), problem: `not valid JSON: ${fault.reason}` }
  }
  const place = { file: start.file, line: start.line }
  if (isRow(value)) return { place, value }
  return { place, problem: `a row must be an object, this is ${kindOf(value)}` }
}

export function isRow(value: unknown): value is RowValue {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What a value is, for messages: never the value itself. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  const kind = typeof value
  return kind === 'object' ? 'an object' : kind === 'string' ? 'a text' : kind === 'undefined' ? 'missing' : `a ${kind}`
}

function move(start: RowBegin, text: string): RowPlace {
  const lines = text.split('\n')
  const last = lines[lines.length - 1] as string
  if (lines.length === 1) return { ...start, column: start.column + last.length }
  return { file: start.file, line: start.line + lines.length - 1, column: last.length + 1 }
}
