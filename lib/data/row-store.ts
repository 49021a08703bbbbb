// Encoded rows while they fit a budget of memory: ids and labels of many rows share large arrays, since a million small ones cost more
// than what they hold. Beyond it all of them go to a file without a name, and are read from there when they are looked at.
// Truncates, counts and hashes on the way in.
import { createHash, randomBytes, type Hash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { cacheFolder } from '../utils/cache-folder.js'
import { storageError } from '../utils/fs.js'
import { fitRow, PartRow, partRanges, splitRow, type OverflowOptions } from './overflow.js'
import { FileRow, TokenFile } from './store/token-file.js'
import { countSupervised, type EncodedRow } from './types.js'

const slabLength = 1 << 18
const bytesPerToken = 8
/** Bytes of ids and labels that are held in memory. */
export const defaultMemoryBudget = 128 * 2 ** 20

const nothing = new Int32Array(0)

export interface StoredRow extends EncodedRow {
  readonly supervised: number
  readonly length: number
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
  #held = 0
  #file: TokenFile | null = null

  /** @param keeps false: rows are counted, and what is in them goes */
  constructor(readonly options: OverflowOptions, readonly memoryBudget = defaultMemoryBudget, readonly keeps = true) {}

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

  /** Takes a copy, cut as the options say. Errors: FT_STORAGE. */
  add(row: EncodedRow): StoredRow {
    const before = countSupervised(row.labels)
    const fitted = fitRow(row, this.options) ?? row
    const parts = this.options.overflow === 'split' ? splitRow(fitted, this.options) : [fitted]
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
    this.#hash.update(Int32Array.of(fitted.inputIds.length)).update(fitted.inputIds).update(fitted.labels)
    const stored = this.keeps ? this.#keep(fitted, supervised) : { ...fitted, supervised, length: fitted.inputIds.length }
    this.rows.push(this.keeps ? stored : { ...stored, inputIds: nothing, labels: nothing })
    return stored
  }

  /** The row as it is trained on: one, or the parts that a long one is split into. */
  parts(row: StoredRow): EncodedRow[] {
    const splits = this.options.overflow === 'split' && row.length > this.maxSeqLength
    if (row instanceof FileRow) return splits ? partRanges(row.length, this.options).map((range) => new PartRow(row, range)) : [row]
    const { inputIds, labels } = row
    return splits ? splitRow({ inputIds, labels }, this.options) : [{ inputIds, labels }]
  }

  /** SHA-256 of all rows so far. */
  digest(): string {
    return this.#hash.copy().digest('hex')
  }

  #keep(row: EncodedRow, supervised: number): StoredRow {
    this.#held += row.inputIds.length * bytesPerToken
    if (this.#file === null && this.#held > this.memoryBudget) this.#file = this.#spill()
    if (this.#file !== null) return new FileRow(this.#file, this.#file.append(row, supervised))
    return { inputIds: this.#copy(row.inputIds), labels: this.#copy(row.labels), supervised, length: row.inputIds.length }
  }

  #spill(): TokenFile {
    const folder = path.join(cacheFolder(), 'rows')
    try {
      fs.mkdirSync(folder, { recursive: true })
    } catch (error) {
      throw storageError(error, 'create the folder', folder)
    }
    const file = TokenFile.create(path.join(folder, randomBytes(12).toString('hex')), { temporary: true })
    for (const [i, row] of this.rows.entries()) this.rows[i] = new FileRow(file, file.append(row, row.supervised))
    this.#slab = new Int32Array(0)
    this.#used = 0
    return file
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
