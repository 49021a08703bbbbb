// Encoded rows in memory: ids and labels of many rows share large arrays, since a million small ones cost more
// than what they hold. Truncates, counts and hashes on the way in.
import { createHash, type Hash } from 'node:crypto'
import { fitRow, splitRow, type OverflowOptions } from './overflow.js'
import { countSupervised, type EncodedRow } from './types.js'

const slabLength = 1 << 18

export interface StoredRow extends EncodedRow {
  supervised: number
}

export class RowStore {
  readonly rows: StoredRow[] = []
  /** Rows that lost tokens, that were dropped whole, and that became several. */
  truncatedRows = 0
  droppedRows = 0
  splitRows = 0
  /** Before truncation. */
  supervisedBefore = 0
  supervisedTokens = 0
  tokens = 0
  maxLength = 0
  rowsWithoutLabels = 0
  readonly #hash: Hash = createHash('sha256')
  #slab = new Int32Array(0)
  #used = 0

  constructor(readonly options: OverflowOptions) {}

  get maxSeqLength(): number {
    return this.options.maxSeqLength
  }

  get lostSupervisedTokens(): number {
    return this.supervisedBefore - this.supervisedTokens
  }

  /** A row that is too long and is to be dropped: it is counted, and not to be added. */
  drops(row: EncodedRow): boolean {
    if (this.options.overflow !== 'drop' || row.inputIds.length <= this.maxSeqLength) return false
    this.droppedRows++
    this.supervisedBefore += countSupervised(row.labels)
    return true
  }

  /** Takes a copy, cut as the options say. */
  add(row: EncodedRow): StoredRow {
    const before = countSupervised(row.labels)
    const fitted = fitRow(row, this.options) ?? row
    const inputIds = this.#copy(fitted.inputIds)
    const labels = this.#copy(fitted.labels)
    const parts = this.#parts({ inputIds, labels })
    const supervised = parts.reduce((sum, part) => sum + countSupervised(part.labels), 0)
    if (parts.length > 1) this.splitRows++
    else if (fitted !== row) this.truncatedRows++
    if (supervised === 0) this.rowsWithoutLabels++
    this.supervisedBefore += before
    this.supervisedTokens += supervised
    for (const part of parts) {
      this.tokens += part.inputIds.length
      this.maxLength = Math.max(this.maxLength, part.inputIds.length)
    }
    this.#hash.update(Int32Array.of(inputIds.length)).update(inputIds).update(labels)
    const stored = { inputIds, labels, supervised }
    this.rows.push(stored)
    return stored
  }

  /** The row as it is trained on: one, or the parts that a long one is split into. */
  parts({ inputIds, labels }: StoredRow): EncodedRow[] {
    return this.#parts({ inputIds, labels })
  }

  #parts(row: EncodedRow): EncodedRow[] {
    return this.options.overflow === 'split' ? splitRow(row, this.options) : [row]
  }

  /** SHA-256 of all rows so far. */
  digest(): string {
    return this.#hash.copy().digest('hex')
  }

  #copy(values: Int32Array): Int32Array {
    if (this.#used + values.length > this.#slab.length) {
      this.#slab = new Int32Array(Math.max(slabLength, values.length))
      this.#used = 0
    }
    const place = this.#slab.subarray(this.#used, this.#used + values.length)
    place.set(values)
    this.#used += values.length
    return place
  }
}
