// What was tokenized before a process was killed. Batches are appended as they are done; a later run that begins the same takes them
// from here instead of tokenizing them again. A record that is cut off or does not match its checksum ends it, and what follows is made anew.
import fs from 'node:fs'
import type { EncodeResult, RowsEncoder } from '../encode.js'
import type { SourceRow } from '../rows.js'
import { checksum, packRow, unpackIds, unpackLabels } from '../store/row-codec.js'
import { takeLock } from './lock.js'

/** Words before each record: their number, the rows of the batch, the bytes of its notes, the checksum. */
const headWords = 4

/** Of one row in the notes of a record: [words, ids, notes] or a problem. */
type RowEntry = [number, number, string] | Extract<EncodeResult, { problem: string }>

export class Journal {
  readonly #file: string
  readonly #descriptor: number
  readonly #lock: { release(): void }
  /** Of the next record to be read; where it fails, of the next to be written. */
  #position = 0
  #reading = true
  #failed = false
  #last: Promise<unknown> = Promise.resolve()
  /** Batches that came from it. */
  replayed = 0

  private constructor(file: string, descriptor: number, lock: { release(): void }) {
    this.#file = file
    this.#descriptor = descriptor
    this.#lock = lock
  }

  /** null: another process writes it, or it cannot be written: then there is nothing to go on from. */
  static open(file: string): Journal | null {
    const lock = takeLock(`${file}.lock`)
    if (lock === null) return null
    try {
      return new Journal(file, fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600), lock)
    } catch {
      lock.release()
      return null
    }
  }

  /** The same results as the encoder's, in the same order. Batches must come in the same order in every run. */
  around(encoder: RowsEncoder): RowsEncoder {
    return {
      inFlight: encoder.inFlight,
      encode: (batch) => {
        const known = this.#reading ? this.#read(batch) : null
        if (known !== null) return Promise.resolve(known)
        this.#reading = false
        const results = encoder.encode(batch)
        const before = this.#last
        this.#last = (async () => {
          await before.catch(() => (this.#failed = true))
          const encoded = await results
          if (!this.#failed) this.#append(encoded)
        })()
        this.#last.catch(() => undefined)
        return results
      },
    }
  }

  /** `done`: nobody needs it any more. */
  async close({ done }: { done: boolean }): Promise<void> {
    await this.#last.catch(() => undefined)
    fs.closeSync(this.#descriptor)
    if (done) fs.rmSync(this.#file, { force: true })
    this.#lock.release()
  }

  #read(batch: readonly SourceRow[]): EncodeResult[] | null {
    const head = this.#words(this.#position, headWords)
    if (head === null) return null
    const [count, rows, noteBytes, sum] = head as unknown as [number, number, number, number]
    if (rows !== batch.length || count < 0 || noteBytes < 0) return null
    const body = this.#words(this.#position + headWords * 4, count)
    if (body === null || checksum(body) !== sum) return null
    const noteWords = Math.ceil(noteBytes / 4)
    const notes = JSON.parse(Buffer.from(body.buffer, 0, noteBytes).toString('utf8')) as RowEntry[]
    let at = noteWords
    const results = notes.map((entry): EncodeResult => {
      if (!Array.isArray(entry)) return entry
      const [words, length, kept] = entry
      const row = { words: body.subarray(at, at + words), length }
      at += words
      return { inputIds: unpackIds(row), labels: unpackLabels(row), notes: JSON.parse(kept) as Exclude<EncodeResult, { problem: string }>['notes'] }
    })
    this.#position += (headWords + count) * 4
    this.replayed++
    return results
  }

  #append(results: readonly EncodeResult[]): void {
    const rows = results.map((result) => ('problem' in result ? null : packRow(result)))
    const entries = results.map((result, i): RowEntry => ('problem' in result ? result : [rows[i]!.words.length, rows[i]!.length, JSON.stringify(result.notes)]))
    const notes = Buffer.from(JSON.stringify(entries))
    const noteWords = Math.ceil(notes.length / 4)
    const body = new Int32Array(noteWords + rows.reduce((sum, row) => sum + (row?.words.length ?? 0), 0))
    Buffer.from(body.buffer).set(notes)
    let at = noteWords
    for (const row of rows) {
      if (row === null) continue
      body.set(row.words, at)
      at += row.words.length
    }
    const record = new Int32Array(headWords + body.length)
    record.set([body.length, results.length, notes.length, checksum(body)])
    record.set(body, headWords)
    const bytes = new Uint8Array(record.buffer)
    try {
      for (let done = 0; done < bytes.length; ) done += fs.writeSync(this.#descriptor, bytes, done, bytes.length - done, this.#position + done)
      this.#position += bytes.length
    } catch {
      // It is a help and nothing more: a disk that is full is told of by what must be written.
      this.#failed = true
    }
  }

  #words(position: number, count: number): Int32Array | null {
    const { size } = fs.fstatSync(this.#descriptor)
    if (position + count * 4 > size) return null
    const words = new Int32Array(count)
    const bytes = new Uint8Array(words.buffer)
    for (let done = 0; done < bytes.length; ) {
      const got = fs.readSync(this.#descriptor, bytes, done, bytes.length - done, position + done)
      if (got === 0) return null
      done += got
    }
    return words
  }
}
