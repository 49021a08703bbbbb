// Rows of tokens in a file that is appended to and read by range, so that memory holds where rows are and not what they are.
// Little-endian 32-bit words, row after row (row-codec.ts); the index says where each begins, how long it is, and its checksum.
import fs from 'node:fs'
import { fail } from '../../core/errors/index.js'
import { storageError } from '../../utils/fs.js'
import type { EncodedRow } from '../types.js'
import { checksum, packRow, unpackIds, unpackLabels, type PackedRow } from './row-codec.js'

/** Words that are gathered before they are written. */
const bufferWords = 1 << 18

/** What the index holds of a row, as 32-bit words: where it begins (two), words, ids, supervised positions, checksum. */
export const indexWords = 6

/** Closes the files of data that nobody holds any more. */
const open = new FinalizationRegistry<number>((descriptor) => fs.close(descriptor))

export class TokenFile {
  readonly #path: string
  readonly #descriptor: number
  #index: Uint32Array
  #rows: number
  /** Words in the file, and those that wait to be written. */
  #written: number
  #buffer = new Int32Array(0)
  #buffered = 0
  /** The row that was read last: ids and labels of one row are asked for together. */
  #last: { index: number; row: PackedRow } | null = null

  private constructor(path: string, descriptor: number, index: Uint32Array, written = 0) {
    this.#path = path
    this.#descriptor = descriptor
    this.#index = index
    this.#rows = index.length / indexWords
    this.#written = written
    open.register(this, descriptor, this)
  }

  /** `temporary`: the file has no name, and is gone with this process. Errors: FT_STORAGE. */
  static create(path: string, { temporary = false } = {}): TokenFile {
    try {
      const descriptor = fs.openSync(path, 'wx+')
      if (temporary) fs.unlinkSync(path)
      return new TokenFile(path, descriptor, new Uint32Array(0))
    } catch (error) {
      throw storageError(error, 'create', path)
    }
  }

  /** A file that was written before, with its index. */
  static open(path: string, index: Uint32Array): TokenFile {
    const descriptor = fs.openSync(path, 'r')
    return new TokenFile(path, descriptor, index, fs.fstatSync(descriptor).size / 4)
  }

  get rows(): number {
    return this.#rows
  }

  get words(): number {
    return this.#written + this.#buffered
  }

  length(row: number): number {
    return this.#index[row * indexWords + 3] as number
  }

  supervised(row: number): number {
    return this.#index[row * indexWords + 4] as number
  }

  /** A copy. [rows × indexWords] */
  index(): Uint32Array {
    return this.#index.slice(0, this.#rows * indexWords)
  }

  /** Returns the row's number. Errors: FT_STORAGE. */
  append(row: EncodedRow, supervised: number): number {
    const { words, length } = packRow(row)
    const at = this.words
    if ((this.#rows + 1) * indexWords > this.#index.length) this.#grow()
    this.#index.set([at >>> 0, Math.floor(at / 2 ** 32), words.length, length, supervised, checksum(words)], this.#rows * indexWords)
    if (this.#buffered + words.length > this.#buffer.length) this.flush()
    if (words.length > bufferWords) this.#write(words)
    else {
      if (this.#buffer.length === 0) this.#buffer = new Int32Array(bufferWords)
      this.#buffer.set(words, this.#buffered)
      this.#buffered += words.length
    }
    return this.#rows++
  }

  /** Its rows cannot be read any more. */
  close(): void {
    this.flush()
    open.unregister(this)
    fs.closeSync(this.#descriptor)
  }

  flush(): void {
    if (this.#buffered === 0) return
    const waiting = this.#buffer.subarray(0, this.#buffered)
    this.#buffered = 0
    this.#write(waiting)
  }

  /** Errors: FT_DATASET where the file is not what was written. */
  read(row: number): PackedRow {
    if (this.#last?.index === row) return this.#last.row
    const at = row * indexWords
    const [low, high, count, length, , sum] = this.#index.subarray(at, at + indexWords)
    const begin = (low as number) + (high as number) * 2 ** 32
    const words = this.#readWords(begin, count as number)
    if (words === null || checksum(words) >>> 0 !== sum) {
      fail('FT_DATASET', `${this.#path} is damaged: row ${row} is not what was written`, { remedy: 'run again with --no-cache, and check the disk', details: { path: this.#path, row } })
    }
    const packed = { words, length: length as number }
    this.#last = { index: row, row: packed }
    return packed
  }

  #readWords(begin: number, count: number): Int32Array | null {
    if (begin >= this.#written) return this.#buffer.slice(begin - this.#written, begin - this.#written + count)
    const words = new Int32Array(count)
    const bytes = new Uint8Array(words.buffer)
    for (let done = 0; done < bytes.length; ) {
      const got = fs.readSync(this.#descriptor, bytes, done, bytes.length - done, begin * 4 + done)
      if (got === 0) return null
      done += got
    }
    return words
  }

  #write(words: Int32Array): void {
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
    try {
      for (let done = 0; done < bytes.length; ) done += fs.writeSync(this.#descriptor, bytes, done, bytes.length - done, this.#written * 4 + done)
    } catch (error) {
      throw storageError(error, 'write', this.#path)
    }
    this.#written += words.length
  }

  #grow(): void {
    const larger = new Uint32Array(Math.max(1024 * indexWords, 2 * this.#index.length))
    larger.set(this.#index)
    this.#index = larger
  }
}

/** A row of a token file, read when it is looked at. */
export class FileRow implements EncodedRow {
  readonly #file: TokenFile
  readonly #row: number

  constructor(file: TokenFile, row: number) {
    this.#file = file
    this.#row = row
  }

  get inputIds(): Int32Array {
    return unpackIds(this.#file.read(this.#row))
  }

  get labels(): Int32Array {
    return unpackLabels(this.#file.read(this.#row))
  }

  get length(): number {
    return this.#file.length(this.#row)
  }

  get supervised(): number {
    return this.#file.supervised(this.#row)
  }
}
