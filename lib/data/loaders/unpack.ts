// gzip and zstd, recognised by their first bytes and unpacked as a stream. An archive that grows without end is
// stopped by what has come out of it, before anything of it is kept.
import { pipeline, Readable, type Transform } from 'node:stream'
import zlib from 'node:zlib'
import { fail, FineTuneError, makeError } from '../../core/errors/index.js'

export interface UnpackLimits {
  /** Most bytes that may come out for each byte read, beyond the first 64 MiB. Default 100. */
  maxUnpackRatio?: number
  /** Most bytes that may come out. Default: no limit. */
  maxUnpackedBytes?: number
}

export const defaultUnpackRatio = 100
/** Small files of repeated text pack very well; below this nothing is asked. */
const freeBytes = 1 << 26

interface Packing {
  name: string
  extensions: readonly string[]
  magic: readonly number[]
  /** null: this Node.js cannot unpack it. */
  create(): Transform | null
}

const packings: readonly Packing[] = [
  { name: 'gzip', extensions: ['.gz', '.gzip'], magic: [0x1f, 0x8b], create: () => zlib.createGunzip({ chunkSize: 1 << 18 }) },
  { name: 'zstd', extensions: ['.zst', '.zstd'], magic: [0x28, 0xb5, 0x2f, 0xfd], create: createZstd },
]

/** Node.js has it from 22.15 on. */
function createZstd(): Transform | null {
  const create: unknown = Reflect.get(zlib, 'createZstdDecompress')
  return typeof create === 'function' ? (create as () => Transform)() : null
}

/** "rows.jsonl.gz" → "rows.jsonl" */
export function withoutPacking(name: string): string {
  const extension = packings.flatMap((packing) => packing.extensions).find((one) => name.toLowerCase().endsWith(one))
  return extension === undefined ? name : name.slice(0, -extension.length)
}

/** Extensions that a packed file may have behind its own. */
export function packedExtensions(): string[] {
  return packings.flatMap((packing) => [...packing.extensions])
}

export function isPacked(head: Uint8Array): boolean {
  return packingOf(head) !== undefined
}

/** "gzip", or null. */
export function packingName(head: Uint8Array): string | null {
  return packingOf(head)?.name ?? null
}

function packingOf(head: Uint8Array): Packing | undefined {
  return packings.find(({ magic }) => magic.every((byte, i) => head[i] === byte))
}

/** Unpacks what begins with a packing's magic; anything else passes as it is. Errors: FT_DATASET. */
export function unpack(file: string, head: Uint8Array, chunks: AsyncIterable<Buffer>, limits: UnpackLimits): AsyncIterable<Buffer> {
  const packing = packingOf(head)
  const named = packings.find(({ extensions }) => extensions.some((extension) => file.toLowerCase().endsWith(extension)))
  if (packing === undefined) {
    if (named === undefined || head.length === 0) return chunks
    return fail('FT_DATASET', `${file} is named as a ${named.name} archive, but is none`, { remedy: 'check where it comes from, or take the extension off its name', details: { path: file } })
  }
  const transform = packing.create()
  if (transform === null) {
    return fail('FT_DATASET', `${file} is a ${packing.name} archive, which Node.js ${process.versions.node} cannot unpack`, {
      remedy: 'use Node.js 22.15 or later, or unpack it first (zstd -d)', details: { path: file },
    })
  }
  return unpackStream(file, packing.name, chunks, transform, limits)
}

async function* unpackStream(file: string, kind: string, chunks: AsyncIterable<Buffer>, transform: Transform, limits: UnpackLimits): AsyncGenerator<Buffer> {
  const ratio = limits.maxUnpackRatio ?? defaultUnpackRatio
  const most = limits.maxUnpackedBytes ?? Infinity
  let taken = 0
  let given = 0
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      taken += chunk.length
      yield chunk
    }
  }
  // The error arrives where the transform is read.
  pipeline(Readable.from(counted(), { objectMode: true }), transform, () => undefined)
  try {
    for await (const chunk of transform) {
      given += (chunk as Buffer).length
      if (given > most) tooLarge(file, kind, `unpacks to more than ${most} bytes`, 'max_unpacked_bytes')
      if (given > freeBytes && given > taken * ratio) tooLarge(file, kind, `unpacks to more than ${ratio} times its size`, 'max_unpack_ratio')
      yield chunk as Buffer
    }
  } catch (error) {
    throw unpackError(file, kind, error)
  } finally {
    transform.destroy()
  }
}

function tooLarge(file: string, kind: string, what: string, key: string): never {
  fail('FT_DATASET', `the ${kind} archive ${file} ${what}`, {
    remedy: `if that is right, raise --${key.replaceAll('_', '-')}; an archive from elsewhere that does this is made to fill your memory`,
    details: { path: file },
  })
}

function unpackError(file: string, kind: string, error: unknown): unknown {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
  if (error instanceof FineTuneError || typeof code !== 'string' || !/^(?:Z_|ZSTD)/.test(code)) return error
  const reason = code === 'Z_BUF_ERROR' ? 'it ends too early' : 'it is damaged'
  return makeError('FT_DATASET', `cannot unpack the ${kind} archive ${file}: ${reason}`, { remedy: 'get the file again', details: { path: file }, cause: error })
}
