// Bytes of a data file as a stream of chunks, with typed errors: missing, unreadable, or not text at all.
import { createReadStream } from 'node:fs'
import { fail, FineTuneError, makeError } from '../../core/errors/index.js'

export const chunkBytes = 1 << 18

export interface ReadOptions {
  signal?: AbortSignal
  /** Called with the number of bytes of every chunk. */
  onBytes?(bytes: number): void
}

const otherFormats: readonly (readonly [string, readonly number[]])[] = [
  ['a gzip archive', [0x1f, 0x8b]],
  ['a zstd archive', [0x28, 0xb5, 0x2f, 0xfd]],
  ['a zip archive', [0x50, 0x4b, 0x03, 0x04]],
  ['a Parquet file', [0x50, 0x41, 0x52, 0x31]],
  ['UTF-16 text', [0xff, 0xfe]],
  ['UTF-16 text', [0xfe, 0xff]],
]

/** The chunks of a file, without a UTF-8 byte-order mark. */
export async function* readChunks(file: string, options: ReadOptions = {}): AsyncGenerator<Buffer> {
  let first = true
  try {
    for await (const piece of createReadStream(file, { highWaterMark: chunkBytes })) {
      let chunk = piece as Buffer
      options.signal?.throwIfAborted()
      options.onBytes?.(chunk.length)
      if (first) {
        checkKind(file, chunk)
        if (chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf) chunk = chunk.subarray(3)
        first = false
      }
      yield chunk
    }
  } catch (error) {
    throw readError(file, error, options.signal)
  }
}

function checkKind(file: string, head: Buffer): void {
  for (const [what, magic] of otherFormats) {
    if (magic.every((byte, i) => head[i] === byte)) {
      fail('FT_DATASET', `${file} is ${what}, not JSON text`, {
        remedy: what === 'UTF-16 text' ? 'save it as UTF-8' : 'unpack or convert it to JSONL: one JSON object a line',
        details: { path: file },
      })
    }
  }
}

export function readError(file: string, error: unknown, signal?: AbortSignal): FineTuneError {
  if (error instanceof FineTuneError) return error
  if (signal?.aborted) return makeError('FT_CANCELLED', `reading ${file} was cancelled`, { cause: error })
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
  if (typeof code !== 'string') throw error
  const reason = code === 'EISDIR' ? 'it is a folder' : code === 'ENOENT' ? 'it does not exist' : code === 'EACCES' ? 'permission denied' : (error as Error).message
  return makeError('FT_DATASET', `cannot read ${file}: ${reason}`, {
    remedy: code === 'EISDIR' ? 'name the files in it, for example folder/*.jsonl' : 'check the path and its permissions',
    details: { path: file, errno: code },
    cause: error,
  })
}
