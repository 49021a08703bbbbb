// Encoded rows in memory: ids and labels of many rows share large arrays, since a million small ones cost more
// than what they hold. Truncates, counts and hashes on the way in.
import { createHash, type Hash } from 'node:crypto'
import { countSupervised, type EncodedRow } from './types.js'

const slabLength = 1 << 18

export interface StoredRow extends EncodedRow {
  supervised: number
}

export class RowStore {
  readonly rows: StoredRow[] = []
  truncatedRows = 0
  /** Before truncation. */
  supervisedBefore = 0
  supervisedTokens = 0
  tokens = 0
  maxLength = 0
  rowsWithoutLabels = 0
  readonly #hash: Hash = createHash('sha256')
  #slab = new Int32Array(0)
  #used = 0

  constructor(readonly maxSeqLength: number) {}

  get lostSupervisedTokens(): number {
    return this.supervisedBefore - this.supervisedTokens
  }

  /** Takes a copy, cut to maxSeqLength on the right. */
  add(row: EncodedRow): StoredRow {
    const length = Math.min(row.inputIds.length, this.maxSeqLength)
    const before = countSupervised(row.labels)
    const inputIds = this.#copy(row.inputIds.subarray(0, length))
    const labels = this.#copy(row.labels.subarray(0, length))
    const supervised = length === row.inputIds.length ? before : countSupervised(labels)
    if (length < row.inputIds.length) this.truncatedRows++
    if (supervised === 0) this.rowsWithoutLabels++
    this.supervisedBefore += before
    this.supervisedTokens += supervised
    this.tokens += length
    this.maxLength = Math.max(this.maxLength, length)
    this.#hash.update(Int32Array.of(length)).update(inputIds).update(labels)
    const stored = { inputIds, labels, supervised }
    this.rows.push(stored)
    return stored
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
