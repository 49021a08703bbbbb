// Batches as people write them (rows of token ids) and as the engine takes them (rows end to end, cuSeqlens), and
// results back as [rows, longest row, …] padded with zeros on the right.
import { makeError } from '../core/errors/index.js'
import type { NativeBatch } from '../native/binding.js'

/** Rows of tokens laid end to end, as the engine takes them. */
export type PackedBatch = NativeBatch

export type TokenRow = readonly number[] | Int32Array

/** labels: -100 carries no loss; the same length as the row. */
export interface RowBatch {
  inputIds: readonly TokenRow[]
  labels?: readonly TokenRow[]
}

/** Rows; rows with labels; or the packed form of the engine. */
export type BatchInput = readonly TokenRow[] | RowBatch | NativeBatch

export interface PackOptions {
  /** Rows without labels learn, or are scored on, every token. */
  defaultLabels?: boolean
  /** Number of the first row in its optimizer step. */
  firstRow?: number
}

export function isPacked(batch: BatchInput): batch is NativeBatch {
  return !Array.isArray(batch) && 'cuSeqlens' in (batch as object)
}

/** Errors: FT_INVALID_ARGUMENT for what is no batch, empty rows, ids that are no 32-bit integers, labels of another length. */
export function packBatch(batch: BatchInput, options: PackOptions = {}): NativeBatch {
  if (typeof batch !== 'object' || batch === null) refuse('a batch is rows of token ids, {inputIds, labels?}, or {inputIds, cuSeqlens, …}')
  if (isPacked(batch)) {
    const needsLabels = options.defaultLabels === true && batch.labels === undefined
    return needsLabels ? { ...batch, labels: batch.inputIds } : batch
  }
  const rows = Array.isArray(batch) ? (batch as readonly TokenRow[]) : (batch as RowBatch).inputIds
  const labels = Array.isArray(batch) ? undefined : (batch as RowBatch).labels
  if (!Array.isArray(rows)) refuse('inputIds must be a list of rows of token ids')
  if (rows.length === 0) refuse('a batch needs at least one row')
  if (labels !== undefined && (!Array.isArray(labels) || labels.length !== rows.length)) {
    refuse(`labels must have one row for each of the ${rows.length} rows of inputIds`)
  }
  const offsets = rowOffsets(rows)
  const packed: NativeBatch = { inputIds: concat(rows, offsets, 'inputIds'), cuSeqlens: offsets }
  if (labels !== undefined) {
    for (const [index, row] of labels.entries()) {
      const wanted = rows[index]?.length
      if (row?.length !== wanted) refuse(`labels[${index}] has ${String(row?.length)} entries, its row has ${String(wanted)} tokens`)
    }
    packed.labels = concat(labels, offsets, 'labels')
  } else if (options.defaultLabels === true) {
    packed.labels = packed.inputIds
  }
  if (options.firstRow) packed.rowIds = Int32Array.from(rows, (_row, index) => index + (options.firstRow ?? 0))
  return packed
}

/** One micro-batch, or several. A list of rows is one; a list of batches is several. */
export function packMicroBatches(batches: BatchInput | readonly BatchInput[]): NativeBatch[] {
  const list = isSeveral(batches) ? batches : [batches]
  if (list.length === 0) refuse('a step needs at least one batch')
  let firstRow = 0
  return list.map((batch) => {
    const packed = packBatch(batch, { defaultLabels: true, firstRow })
    const rows = packed.cuSeqlens.length - 1
    const numbered = packed.rowIds === undefined && firstRow > 0 ? { ...packed, rowIds: Int32Array.from({ length: rows }, (_, index) => index + firstRow) } : packed
    firstRow += rows
    return numbered
  })
}

function isSeveral(batches: BatchInput | readonly BatchInput[]): batches is readonly BatchInput[] {
  if (!Array.isArray(batches)) return false
  const first: unknown = batches[0]
  if (first instanceof Int32Array) return false
  return Array.isArray(first) ? typeof first[0] === 'object' : typeof first === 'object' && first !== null
}

function rowOffsets(rows: readonly TokenRow[]): Int32Array {
  const offsets = new Int32Array(rows.length + 1)
  let total = 0
  for (const [index, row] of rows.entries()) {
    if (!(row instanceof Int32Array) && !Array.isArray(row)) refuse(`row ${index} is no list of token ids`)
    if (row.length === 0) refuse(`row ${index} is empty`)
    total += row.length
    if (total > 0x7fffffff) refuse('the batch has more than 2^31 tokens')
    offsets[index + 1] = total
  }
  return offsets
}

function concat(rows: readonly TokenRow[], offsets: Int32Array, what: string): Int32Array {
  const flat = new Int32Array(offsets[rows.length] ?? 0)
  for (const [index, row] of rows.entries()) {
    const start = offsets[index] ?? 0
    if (!(row instanceof Int32Array)) {
      for (let t = 0; t < row.length; t++) {
        const id = row[t]
        if (typeof id !== 'number' || (id | 0) !== id) refuse(`${what}[${index}][${t}] is ${String(id)}, no 32-bit integer`)
      }
    }
    flat.set(row, start)
  }
  return flat
}

function refuse(message: string): never {
  throw makeError('FT_INVALID_ARGUMENT', message, { remedy: 'pass rows of token ids, for example [[1, 2, 3], [4, 5]]' })
}

/** Values of packed tokens, [tokens, width], as [rows, longest row, width]; zeros behind the end of a row. */
export function padRows(values: Float32Array, cuSeqlens: Int32Array, width: number): { data: Float32Array; rows: number; longest: number } {
  const rows = cuSeqlens.length - 1
  let longest = 0
  for (let row = 0; row < rows; row++) longest = Math.max(longest, at(cuSeqlens, row + 1) - at(cuSeqlens, row))
  if (rows * longest * width === values.length) return { data: values, rows, longest }
  const data = new Float32Array(rows * longest * width)
  for (let row = 0; row < rows; row++) data.set(values.subarray(at(cuSeqlens, row) * width, at(cuSeqlens, row + 1) * width), row * longest * width)
  return { data, rows, longest }
}

/** Index known to be inside. */
function at(array: Int32Array, index: number): number {
  return array[index] as number
}
