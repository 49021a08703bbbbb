// Where log lines end. Both write synchronously, so that nothing is lost when the process exits or dies
// right after a message; lines are few.
import fs from 'node:fs'
import { Writable } from 'node:stream'
import { redact } from '../core/redact.js'
import { storageError } from './fs.js'

/** Hands every line to a function. */
export class LineSink extends Writable {
  readonly #write: (line: string) => void

  constructor(write: (line: string) => void) {
    super({ decodeStrings: false })
    this.#write = write
  }

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    this.#write(String(chunk))
    done()
  }
}

/** Appends to a file. A disk that fills up later ends the log with one warning, never the work. */
export class FileSink extends Writable {
  readonly file: string
  #descriptor: number | null

  /** Errors: FT_STORAGE when the file cannot be opened. */
  constructor(file: string) {
    super({ decodeStrings: false })
    this.file = file
    try {
      this.#descriptor = fs.openSync(file, 'a')
    } catch (error) {
      throw storageError(error, 'open the log file', file)
    }
  }

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    if (this.#descriptor !== null) {
      try {
        fs.writeSync(this.#descriptor, redact(String(chunk)))
      } catch (error) {
        process.stderr.write(`warn: the log file ${this.file} is no longer written: ${storageError(error, 'write', this.file).message}\n`)
        this.closeFile()
      }
    }
    done()
  }

  closeFile(): void {
    if (this.#descriptor === null) return
    const descriptor = this.#descriptor
    this.#descriptor = null
    try {
      fs.closeSync(descriptor)
    } catch {
      // The lines are written; there is nothing more to save.
    }
  }
}
