// Wrapped windows: rows one after another as one stream of tokens, cut every windowLength tokens. No room is left and rows are cut
// where a window ends; attention and positions run through the whole window, across rows, as when a model is pretrained.
import { inOrder, randomStream, shuffled } from './random.js'
import { rowLength, type EncodedRow } from './types.js'

const wrappingKey = 4

export interface WrapOptions {
  windowLength: number
  /** false: rows in their own order. */
  shuffle: boolean
  seed: number
}

/** Windows as rows; the last may be shorter. Each is put together when it is looked at. Pure: the same rows and keys, the same windows. */
export function wrapRows(rows: readonly EncodedRow[], { windowLength, shuffle, seed }: WrapOptions): EncodedRow[] {
  const order = shuffle ? shuffled(rows.length, randomStream(seed, wrappingKey)) : inOrder(rows.length)
  const windows: EncodedRow[] = []
  let pieces: Piece[] = []
  let room = windowLength
  for (const index of order) {
    const row = rows[index] as EncodedRow
    const length = rowLength(row)
    for (let from = 0; from < length; ) {
      const to = Math.min(length, from + room)
      pieces.push({ row, from, to })
      room -= to - from
      from = to
      if (room > 0) continue
      windows.push(new WrappedRow(pieces))
      pieces = []
      room = windowLength
    }
  }
  if (pieces.length > 0) windows.push(new WrappedRow(pieces))
  return windows
}

interface Piece {
  row: EncodedRow
  from: number
  to: number
}

class WrappedRow implements EncodedRow {
  readonly #pieces: readonly Piece[]

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces
  }

  get inputIds(): Int32Array {
    return this.#join('inputIds')
  }

  get labels(): Int32Array {
    return this.#join('labels')
  }

  get length(): number {
    return this.#pieces.reduce((sum, { from, to }) => sum + to - from, 0)
  }

  #join(which: 'inputIds' | 'labels'): Int32Array {
    const joined = new Int32Array(this.length)
    let at = 0
    for (const { row, from, to } of this.#pieces) {
      joined.set(row[which].subarray(from, to), at)
      at += to - from
    }
    return joined
  }
}
