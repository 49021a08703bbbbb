// One file of a repository into the cache: resumed where an earlier try ended, its size and hash checked before it gets its
// name. Content that is not what the hub promised is thrown away, never used.
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fail } from '../core/errors/index.js'
import { fsyncFolder, pathKind, storageError } from '../utils/fs.js'
import { getLogger } from '../utils/logger.js'
import { blobPath, cachedFile, writeListing, writeRef } from './cache.js'
import { Passing, readBody, request, withRetries } from './http.js'
import { claimPartial, describeOther, otherDownload, releasePartial, type OtherDownload } from './partial.js'
import { checkFileName, fileUrl, type HubFile, type Repository } from './repository.js'
import type { HubSettings } from './settings.js'

export interface DownloadOptions {
  signal?: AbortSignal
  /** Bytes of this file that are here: kept from before, then as they come. It may go back. */
  onBytes?(here: number): void
}

const pickle = /\.(?:bin|pt|pth|pkl|pickle|ckpt|joblib|npy|npz|h5|msgpack)$/i
const waitForOther = 300
/** Downloads of one file that others may take away. */
const mostLost = 2

/** Path of the file in the snapshot. Errors: FT_HUB, FT_HUB_AUTH, FT_HUB_NOT_FOUND, FT_PICKLE_REFUSED, FT_STORAGE, FT_CANCELLED. */
export async function downloadFile(settings: HubSettings, repository: Repository, file: HubFile, options: DownloadOptions = {}): Promise<string> {
  checkFileName(repository.name, file.path)
  if (pickle.test(file.path)) {
    fail('FT_PICKLE_REFUSED', `${repository.name}/${file.path} is a pickle or a format that may hold one: it is not downloaded`, { remedy: 'use a repository or revision with safetensors files', details: { file: file.path } })
  }
  const watch = new Watch(settings, `${repository.name}/${file.path}`)
  for (let lost = 0; ; lost++) {
    for (;;) {
      const here = await cachedFile(settings, repository, file)
      if (here !== null) {
        options.onBytes?.(file.size)
        return here
      }
      const other = await otherDownload(blobPath(settings, repository, file))
      if (lost > 0 || other === null || watch.isQuiet(other)) break
      if (options.signal?.aborted) fail('FT_CANCELLED', `downloading ${file.path} was cancelled`)
      options.onBytes?.(Math.min(other.bytes, file.size))
      await sleep(waitForOther, undefined, { signal: options.signal }).catch(() => undefined)
    }
    if (await download(settings, repository, file, { ...options, anew: lost > 0 })) break
    if (lost === mostLost) fail('FT_STORAGE', `other processes take away what is downloaded of ${file.path}`, { remedy: `see who else uses ${settings.cacheDir}, and that machines have names of their own` })
  }
  await writeRef(settings, repository)
  if (repository.type === 'dataset') await writeListing(settings, repository)
  const done = await cachedFile(settings, repository, file)
  return done ?? fail('FT_STORAGE', `${file.path} of ${repository.name} vanished from the cache`, { remedy: `check ${settings.cacheDir}` })
}

/** Another process's download is waited for as long as it moves. */
class Watch {
  readonly #limit: number
  readonly #what: string
  #sign = ''
  #since = 0

  constructor({ quietTimeout }: HubSettings, what: string) {
    this.#limit = quietTimeout
    this.#what = what
  }

  isQuiet(other: OtherDownload): boolean {
    const now = performance.now()
    if (this.#sign === '') getLogger().info(`${describeOther(other)} downloads ${this.#what}: waiting for it`)
    if (other.sign !== this.#sign) this.#since = now
    this.#sign = other.sign
    if (now - this.#since < this.#limit) return false
    getLogger().warn(`${describeOther(other)} was to download ${this.#what}, and has not moved for ${Math.round(this.#limit / 1000)} s: it is downloaded here`)
    return true
  }
}

/** false: somebody took this for the leftover of a process that has ended, and goes on with it. */
async function download(settings: HubSettings, repository: Repository, file: HubFile, { anew, ...options }: DownloadOptions & { anew: boolean }): Promise<boolean> {
  const blob = blobPath(settings, repository, file)
  const partial = await claimPartial(blob, { anew })
  try {
    await withRetries(settings, `${repository.name}/${file.path}`, async () => {
      await fetchRest(settings, repository, file, partial.file, options)
      await verify(repository, file, partial.file)
    }, options.signal)
    await finish(partial.file, blob)
    return true
  } catch (error) {
    if (!options.signal?.aborted && (await pathKind(partial.file)) === null && (await pathKind(path.dirname(blob))) === 'folder') return false
    await releasePartial(blob, partial.file)
    throw error
  } finally {
    partial.stop()
  }
}

async function finish(partial: string, blob: string): Promise<void> {
  try {
    await fs.rename(partial, blob)
  } catch (error) {
    throw storageError(error, 'write', blob)
  }
  await fsyncFolder(path.dirname(blob))
}

/** From where the partial ends to the end of the file. Errors: Passing, and those of request. */
async function fetchRest(settings: HubSettings, repository: Repository, file: HubFile, partial: string, { signal, onBytes }: DownloadOptions): Promise<void> {
  let here = (await fs.stat(partial).catch((error: unknown) => { throw storageError(error, 'read', partial) })).size
  if (here > file.size) here = 0
  if (here === file.size && file.size > 0) return
  const headers: Record<string, string> = { 'accept-encoding': 'identity', ...(here > 0 ? { range: `bytes=${here}-` } : {}) }
  const response = await request(settings, fileUrl(settings, repository, file.path), { headers, signal })
  const range = rangeOf(response)
  // A server that knows no ranges begins at the beginning.
  if (range === null) here = 0
  else if (range.start !== here || (range.total !== null && range.total !== file.size)) {
    await response.body?.cancel()
    throw new Passing('the hub answers with another part of the file than was asked for')
  }
  const handle = await fs.open(partial, 'r+').catch((error: unknown) => { throw storageError(error, 'write', partial) })
  try {
    await handle.truncate(here)
    for await (const piece of readBody(response, settings, signal)) {
      if (here + piece.length > file.size) {
        await handle.truncate(0)
        throw new Passing('the hub sends more bytes than the file has')
      }
      await write(handle, piece, here, partial)
      here += piece.length
      onBytes?.(here)
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
  if (signal?.aborted) fail('FT_CANCELLED', `downloading ${file.path} was cancelled`)
  if (here < file.size) throw new Passing(`only ${here} of ${file.size} bytes came`)
}

async function write(handle: fs.FileHandle, piece: Uint8Array, at: number, file: string): Promise<void> {
  try {
    for (let written = 0; written < piece.length; ) written += (await handle.write(piece, written, piece.length - written, at + written)).bytesWritten
  } catch (error) {
    throw storageError(error, 'write', file)
  }
}

/** Of a 206 answer; null for a whole one. */
export function rangeOf(response: Response): { start: number; end: number; total: number | null } | null {
  if (response.status !== 206) return null
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '')
  if (match === null) return { start: -1, end: -1, total: null }
  return { start: Number(match[1]), end: Number(match[2]), total: match[3] === '*' ? null : Number(match[3]) }
}

/** A file that is not what its hash says begins anew. Errors: Passing. */
async function verify(repository: Repository, file: HubFile, partial: string): Promise<void> {
  const hash = hashOf(file)
  try {
    for await (const chunk of createReadStream(partial, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  } catch (error) {
    throw storageError(error, 'read', partial)
  }
  if (hash.digest('hex') === file.oid) return
  await fs.truncate(partial).catch((cause: unknown) => { throw storageError(cause, 'write', partial) })
  throw new Passing(`the content of ${file.path} is not what the hub says it is (its hash differs)`)
}

/** LFS names a file by its SHA-256; git by the SHA-1 of a header and the content. */
export function hashOf(file: Pick<HubFile, 'oid' | 'size'>): Hash {
  return file.oid.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${file.size}\0`)
}
