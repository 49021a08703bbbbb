// Writing that survives a power cut, and storage errors with a type. A file appears under its name only
// when it is whole: temporary file, fsync, rename, fsync of the folder. Every function throws FT_STORAGE
// (exit 5) when the disk says no, and leaves no temporary file behind.
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { FineTuneError, makeError } from '../core/errors/index.js'

const remedies: Record<string, string> = {
  ENOSPC: 'free space on this disk, or choose another folder',
  EDQUOT: 'your disk quota is used up: free space, or choose another folder',
  EROFS: 'this file system is read-only: choose another folder',
  EACCES: 'give yourself write permission, or choose another folder',
  EPERM: 'give yourself write permission, or choose another folder',
  EIO: 'the disk reported an I/O error: check it, or choose another folder',
  EFBIG: 'the file would be larger than this file system or your limit allows: choose another folder',
  ENOTDIR: 'a part of the path is a file: choose another folder',
  EISDIR: 'a folder is in the way: choose another name',
  EEXIST: 'something else is in the way: choose another name',
  EMFILE: 'too many files are open: raise the limit (ulimit -n)',
  ENAMETOOLONG: 'choose a shorter path',
}

/** The FT_STORAGE error for a failed write. `action` completes "cannot …": "write", "create the folder". */
export function storageError(error: unknown, action: string, target: string): FineTuneError {
  if (error instanceof FineTuneError) return error
  const errno = errnoOf(error)
  const reason = error instanceof Error ? error.message : String(error)
  return makeError('FT_STORAGE', `cannot ${action} ${target}: ${reason}`, {
    remedy: remedies[errno] ?? 'check the path and the disk',
    details: { path: target, errno },
    cause: error,
  })
}

/** "ENOENT" …, or "" for what is no system error. */
export function errnoOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' ? code : ''
}

async function storage<T>(action: string, target: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw storageError(error, action, target)
  }
}

/**
 * Creates a folder and its parents; the new names survive a power cut. Folder by folder: Node's recursive mkdir never
 * returns where a parent refuses with ENOENT, as /proc does.
 */
export async function makeFolder(folder: string): Promise<void> {
  if ((await pathKind(folder)) === 'folder') return
  const parent = path.dirname(path.resolve(folder))
  if (parent !== path.resolve(folder) && (await pathKind(parent)) === null) await makeFolder(parent)
  await storage('create the folder', folder, async () => {
    try {
      await fs.mkdir(folder)
    } catch (error) {
      // Someone else may have been faster.
      if (errnoOf(error) === 'EEXIST' && (await pathKind(folder)) === 'folder') return
      throw error
    }
    await syncFolder(parent)
  })
}

/** Writes and fsyncs a file under its final name; for files inside a folder that is renamed later. */
export async function writeFileSynced(file: string, data: string | Uint8Array): Promise<void> {
  await storage('write', file, async () => {
    const handle = await fs.open(file, 'w')
    try {
      await handle.writeFile(data)
      await handle.sync()
    } finally {
      await handle.close()
    }
  })
}

/** Replaces a file as a whole: readers see the old content or the new, never half of it. */
export async function writeFileAtomic(file: string, data: string | Uint8Array): Promise<void> {
  const folder = path.dirname(file)
  const temporary = path.join(folder, `.${path.basename(file)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`)
  try {
    await writeFileSynced(temporary, data)
    await storage('write', file, () => fs.rename(temporary, file))
  } catch (error) {
    await fs.rm(temporary, { force: true }).catch(() => undefined)
    throw error instanceof FineTuneError ? rename(error, temporary, file) : error
  }
  await fsyncFolder(folder)
}

/** The same error, speaking of the file a person asked for instead of its temporary. */
function rename(error: FineTuneError, temporary: string, file: string): FineTuneError {
  return makeError(error.code, error.message.replaceAll(temporary, file), {
    remedy: error.remedy,
    details: { ...error.details, path: file },
    cause: error.cause,
  })
}

/** Renames and makes the new name durable. `to` must not exist, except as a file that is replaced. */
export async function renameSynced(from: string, to: string): Promise<void> {
  await storage('rename to', to, () => fs.rename(from, to))
  await fsyncFolder(path.dirname(to))
  if (path.dirname(from) !== path.dirname(to)) await fsyncFolder(path.dirname(from))
}

export async function copyFileSynced(from: string, to: string): Promise<void> {
  await storage('write', to, async () => {
    await fs.copyFile(from, to)
    await syncFile(to)
  })
}

export async function fsyncFile(file: string): Promise<void> {
  await storage('flush', file, () => syncFile(file))
}

export async function fsyncFolder(folder: string): Promise<void> {
  await storage('flush the folder', folder, () => syncFolder(folder))
}

async function syncFile(file: string): Promise<void> {
  const handle = await fs.open(file, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Some file systems (and Windows) cannot sync a folder: that is theirs to say, not an error of ours. */
const cannotSyncFolder = new Set(['EINVAL', 'ENOTSUP', 'EBADF', 'EISDIR', 'EPERM', 'EACCES'])

async function syncFolder(folder: string): Promise<void> {
  let handle: fs.FileHandle | undefined
  try {
    handle = await fs.open(folder, 'r')
    await handle.sync()
  } catch (error) {
    if (!cannotSyncFolder.has(errnoOf(error))) throw error
  } finally {
    await handle?.close()
  }
}

/** Removes a file or a whole folder; nothing there is fine. */
export async function removePath(target: string): Promise<void> {
  await storage('remove', target, () => fs.rm(target, { recursive: true, force: true }))
}

/** Throws FT_STORAGE unless a file can be made in `folder` (which is created if need be). */
export async function checkWritable(folder: string): Promise<void> {
  await makeFolder(folder)
  const probe = path.join(folder, `.ft-native-probe.${process.pid}.${randomBytes(4).toString('hex')}`)
  await storage('write to', folder, async () => {
    try {
      await fs.writeFile(probe, 'x')
    } finally {
      await fs.rm(probe, { force: true })
    }
  })
}

/** 'file', 'folder', or null where nothing is (or nothing can be seen). Links are followed. */
export async function pathKind(target: string): Promise<'file' | 'folder' | null> {
  try {
    const stats = await fs.stat(target)
    return stats.isDirectory() ? 'folder' : 'file'
  } catch {
    return null
  }
}

/** Hex SHA-256 of a file, streamed. */
export async function sha256File(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
