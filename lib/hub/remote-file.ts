// Parts of a file of the hub by range requests, without downloading it. All parts are of one commit; a server that answers with
// something else than was asked for is not believed.
import fs from 'node:fs/promises'
import { fail } from '../core/errors/index.js'
import { storageError } from '../utils/fs.js'
import { cachedFile } from './cache.js'
import { downloadFile, rangeOf } from './download.js'
import { Passing, readAll, request, withRetries } from './http.js'
import { downloadProgress } from './host.js'
import { fileUrl, type HubFile, type Repository } from './repository.js'
import type { HubSettings } from './settings.js'

export interface RemoteFile {
  size: number
  /** Hash of its content. */
  oid: string
  /** Path of the whole file where it is in the cache: now, or because the server knew no ranges. */
  local(): Promise<string | null>
  /** Bytes [start, end). Errors: FT_HUB, FT_HUB_AUTH, FT_HUB_NOT_FOUND. */
  read(start: number, end: number, signal?: AbortSignal): Promise<Buffer>
  /** The whole file, in the cache. */
  download(signal?: AbortSignal): Promise<string>
}

export function remoteFile(settings: HubSettings, repository: Repository, file: HubFile): RemoteFile {
  const what = `${repository.name}/${file.path}`
  let local: string | null = null
  let etag: string | undefined
  const download = async (signal?: AbortSignal): Promise<string> => {
    const progress = downloadProgress(what, file.size)
    try {
      return (local = await downloadFile(settings, repository, file, { signal, onBytes: (bytes) => progress.update(bytes, file.size) }))
    } finally {
      progress.stop()
    }
  }
  const part = async (start: number, end: number, signal?: AbortSignal): Promise<Buffer | null> => {
    const response = await request(settings, fileUrl(settings, repository, file.path), { headers: { range: `bytes=${start}-${end - 1}`, 'accept-encoding': 'identity' }, signal })
    const range = rangeOf(response)
    if (range === null) {
      await response.body?.cancel()
      return null
    }
    const seen = response.headers.get('etag') ?? undefined
    const wrong = range.start !== start || range.end !== end - 1 || (range.total !== null && range.total !== file.size)
    if (wrong || (etag !== undefined && seen !== etag)) {
      await response.body?.cancel()
      if (wrong) throw new Passing('the hub answers with another part of the file than was asked for')
      fail('FT_HUB', `${what} changed while it was read`, { remedy: 'try again' })
    }
    etag = seen
    const bytes = await readAll(response, settings, end - start, signal)
    if (bytes.length !== end - start) throw new Passing(`only ${bytes.length} of ${end - start} bytes came`)
    return bytes
  }
  return {
    size: file.size,
    oid: file.oid,
    download,
    async local() {
      return (local ??= await cachedFile(settings, repository, file))
    },
    async read(start, end, signal) {
      if (local === null) {
        const bytes = await withRetries(settings, what, () => part(start, end, signal), signal)
        if (bytes !== null) return bytes
      }
      return await readPart(local ?? (await download(signal)), start, end)
    },
  }
}

async function readPart(file: string, start: number, end: number): Promise<Buffer> {
  try {
    const handle = await fs.open(file, 'r')
    try {
      const bytes = Buffer.allocUnsafe(end - start)
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, start)
      return bytes.subarray(0, bytesRead)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw storageError(error, 'read', file)
  }
}
