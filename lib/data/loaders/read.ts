// The text of a data file as chunks of UTF-8, whatever it is packed with and encoded in. Files that are no text at all
// are refused by their first bytes.
import { fail } from '../../core/errors/index.js'
import { headBytes, localSource, type ByteSource } from './bytes.js'
import { checkEncoding, detectEncoding, isUnicode8, noteGuess, transcode } from './encoding.js'
import { libraries } from './libraries.js'
import { isPacked, packingName, unpack, type UnpackLimits } from './unpack.js'

export { chunkBytes } from './bytes.js'
export { readError } from './read-error.js'

/** What a configuration may say about how a file is to be read. */
export interface FormatOptions extends UnpackLimits {
  /** Name of a loader, whatever the file's name says. */
  format?: string
  /** Of text files; default: detected. */
  encoding?: string
  /** Between the cells of a table; default: detected. */
  delimiter?: string
  /** What one row of a plain text is. Default: line. */
  sampleBy?: 'line' | 'paragraph' | 'file'
  /** The only columns that are wanted; formats that can leave others unread do so. */
  columns?: readonly string[]
}

export interface ReadOptions extends FormatOptions {
  signal?: AbortSignal
  /** Called with the number of bytes of every chunk, as they are in the file. */
  onBytes?(bytes: number): void
  /** Where the bytes come from. Default: the file of that name. */
  source?: ByteSource
}

export interface TextStream {
  /** UTF-8 without a byte-order mark. */
  chunks: AsyncIterable<Buffer>
  /** Byte of the file at which `chunks` begins, or null where bytes of the file and of the text are not the same. */
  offset: number | null
}

/** What people have instead of data, by its first bytes. */
export const otherFormats: readonly (readonly [string, readonly number[]])[] = [
  ['a zip archive', [0x50, 0x4b, 0x03, 0x04]],
  ['a Parquet file', [0x50, 0x41, 0x52, 0x31]],
  ['an Arrow file', [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31]],
  ['an xz archive', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['a PDF document', [0x25, 0x50, 0x44, 0x46, 0x2d]],
]

/**
 * Opens a text. `start`: begin at this byte, which a TextStream with an offset named. `guess`: the format allows any encoding.
 * Errors: FT_DATASET, FT_CANCELLED.
 */
export async function openText(file: string, options: ReadOptions, { start = 0, guess = false }: { start?: number; guess?: boolean } = {}): Promise<TextStream> {
  const source = options.source ?? localSource(file)
  const packedHead = await source.head(options.signal)
  const raw = source.stream({ start, signal: options.signal })
  if (start > 0) return { chunks: counted(raw, options), offset: start }
  const unpacked = unpack(source.name, packedHead, counted(raw, options), options)
  const packed = isPacked(packedHead)
  const { head, chunks } = packed ? await peek(unpacked) : { head: packedHead, chunks: unpacked }
  checkKind(source.name, head)
  const detected = options.encoding === undefined ? detectEncoding(head, guess) : { ...detectEncoding(head, false), encoding: checkEncoding(options.encoding), guessed: false }
  if (detected.guessed) noteGuess(source.name, detected.encoding)
  if (isUnicode8(detected.encoding)) return { chunks: skip(chunks, detected.mark), offset: packed ? null : detected.mark }
  return { chunks: transcode(source.name, chunks, detected.encoding), offset: null }
}

/** The same for formats that need no more than the chunks. */
export async function* readChunks(file: string, options: ReadOptions = {}, settings: { guess?: boolean } = {}): AsyncGenerator<Buffer> {
  yield* (await openText(file, options, settings)).chunks
}

/** The beginning of a file as a format would read it: unpacked, and text as UTF-8. `whole`: it is all there is. */
export async function readHead(file: string, options: ReadOptions): Promise<{ bytes: Buffer; whole: boolean }> {
  const source = options.source ?? localSource(file)
  const head = await source.head(options.signal)
  if (!isPacked(head)) return { bytes: decodeHead(head, options.encoding), whole: head.length < headBytes }
  async function* once(): AsyncGenerator<Buffer> {
    yield await Promise.resolve(head)
  }
  const chunks: Buffer[] = []
  let size = 0
  let whole = true
  try {
    for await (const chunk of unpack(source.name, head, once(), options)) {
      chunks.push(chunk)
      size += chunk.length
      if (size < headBytes) continue
      whole = false
      break
    }
  } catch (error) {
    // The head of an archive ends in its middle; what came out before that is what was asked for.
    if (chunks.length === 0) throw error
    whole = false
  }
  return { bytes: decodeHead(Buffer.concat(chunks).subarray(0, headBytes), options.encoding), whole }
}

function decodeHead(head: Buffer, named: string | undefined): Buffer {
  const { encoding, mark } = detectEncoding(head, false)
  if (named === undefined && isUnicode8(encoding)) return head.subarray(mark)
  const text = libraries.iconv().decode(head, named === undefined ? encoding : checkEncoding(named), { stripBOM: true })
  return Buffer.from(text)
}

async function* counted(chunks: AsyncIterable<Buffer>, { onBytes, signal }: ReadOptions): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    signal?.throwIfAborted()
    onBytes?.(chunk.length)
    yield chunk
  }
}

async function* skip(chunks: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let left = bytes
  for await (const chunk of chunks) {
    if (left === 0) {
      yield chunk
    } else {
      const cut = Math.min(left, chunk.length)
      left -= cut
      if (cut < chunk.length) yield chunk.subarray(cut)
    }
  }
}

/** The head of a stream, and the stream with it. */
async function peek(chunks: AsyncIterable<Buffer>): Promise<{ head: Buffer; chunks: AsyncIterable<Buffer> }> {
  const iterator = chunks[Symbol.asyncIterator]()
  const kept: Buffer[] = []
  let size = 0
  while (size < headBytes) {
    const next = await iterator.next()
    if (next.done === true) break
    kept.push(next.value)
    size += next.value.length
  }
  async function* all(): AsyncGenerator<Buffer> {
    try {
      yield* kept
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value
    } finally {
      await iterator.return?.()
    }
  }
  return { head: Buffer.concat(kept).subarray(0, headBytes), chunks: all() }
}

function checkKind(file: string, head: Buffer): void {
  const packing = packingName(head)
  if (packing !== null) fail('FT_DATASET', `${file} is a ${packing} archive in an archive`, { remedy: 'unpack it once: one layer is read', details: { path: file } })
  for (const [what, magic] of otherFormats) {
    if (magic.every((byte, i) => head[i] === byte)) {
      fail('FT_DATASET', `${file} is ${what}, not text`, { remedy: 'unpack or convert it: JSONL, JSON, CSV, TSV, TXT and Parquet are read', details: { path: file } })
    }
  }
}
