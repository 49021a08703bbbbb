// Where the bytes of a data file come from: a local file, standard input, or a file of the hub. Loaders read through
// this and never ask which it is.
import { createReadStream, type ReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { fail } from '../../core/errors/index.js'
import { readError } from './read-error.js'

export const chunkBytes = 1 << 18
/** As much of a file as is looked at to tell its format and encoding. */
export const headBytes = 1 << 16

export interface ByteSource {
  /** As messages name it. */
  readonly name: string
  /** null: not known before the end. */
  readonly size: number | null
  /** The bytes from `start` on. A source without `read` can be streamed once, from 0. */
  stream(options?: { start?: number; signal?: AbortSignal }): AsyncIterable<Buffer>
  /** Up to headBytes from the beginning, without taking them from the stream. */
  head(signal?: AbortSignal): Promise<Buffer>
  /** SHA-256 or git hash of the content, where it is known without reading it. */
  readonly content?: string
  /** Path of a local file with these bytes, made if need be. Absent where there can be none. */
  file?(signal?: AbortSignal): Promise<string>
  /** The bytes [start, end). Absent where only a stream is to be had. */
  read?(start: number, end: number, signal?: AbortSignal): Promise<Buffer>
}

/** Errors of every method: FT_DATASET, FT_CANCELLED. */
export function localSource(file: string): ByteSource {
  return {
    name: file,
    size: null,
    stream: ({ start, signal } = {}) => streamFile(file, start ?? 0, signal),
    head: (signal) => readRange(file, 0, headBytes, signal),
    read: (start, end, signal) => readRange(file, start, end, signal),
  }
}

export async function fileSize(file: string): Promise<number> {
  try {
    return (await stat(file)).size
  } catch (error) {
    throw readError(file, error)
  }
}

async function* streamFile(file: string, start?: number, signal?: AbortSignal): AsyncGenerator<Buffer> {
  let stream: ReadStream | undefined
  try {
    signal?.throwIfAborted()
    stream = createReadStream(file, { highWaterMark: chunkBytes, start })
    for await (const chunk of stream) {
      signal?.throwIfAborted()
      yield chunk as Buffer
    }
  } catch (error) {
    throw readError(file, error, signal)
  } finally {
    stream?.destroy()
  }
}

/** Fewer bytes where the file ends before. */
async function readRange(file: string, start: number, end: number, signal?: AbortSignal): Promise<Buffer> {
  try {
    signal?.throwIfAborted()
    const handle = await open(file, 'r')
    try {
      const buffer = Buffer.allocUnsafe(end - start)
      let filled = 0
      while (filled < buffer.length) {
        const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, start + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return buffer.subarray(0, filled)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw readError(file, error, signal)
  }
}

/** A named pipe, opened when it is read. */
export function pipeSource(file: string): ByteSource {
  return streamSource(file, streamFile(file))
}

/** A stream that can be read once, such as standard input: its head is kept and given again. */
export function streamSource(name: string, stream: AsyncIterable<Buffer | string>): ByteSource {
  const iterator = stream[Symbol.asyncIterator]()
  const kept: Buffer[] = []
  let ended = false
  let started = false
  const pull = async (): Promise<Buffer | null> => {
    const next = await iterator.next()
    if (next.done === true) {
      ended = true
      return null
    }
    return typeof next.value === 'string' ? Buffer.from(next.value) : next.value
  }
  return {
    name,
    size: null,
    async head() {
      let size = kept.reduce((sum, chunk) => sum + chunk.length, 0)
      while (size < headBytes && !ended) {
        const chunk = await pull()
        if (chunk === null) break
        kept.push(chunk)
        size += chunk.length
      }
      return Buffer.concat(kept).subarray(0, headBytes)
    },
    async *stream({ signal } = {}) {
      if (started) fail('FT_DATASET', `${name} can be read only once`, { remedy: 'save it to a file and name that' })
      started = true
      try {
        for (let chunk = kept.shift(); chunk !== undefined; chunk = kept.shift()) yield chunk
        while (!ended) {
          signal?.throwIfAborted()
          const chunk = await pull()
          if (chunk !== null) yield chunk
        }
      } catch (error) {
        throw readError(name, error, signal)
      } finally {
        await iterator.return?.()
      }
    },
  }
}
