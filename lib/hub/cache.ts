// The cache that Python's huggingface_hub uses too: models--org--name/{blobs,refs,snapshots}, where a snapshot's files are links
// to blobs named by their hash (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
import fs from 'node:fs/promises'
import path from 'node:path'
import { errnoOf, makeFolder, pathKind, storageError, writeFileAtomic } from '../utils/fs.js'
import { hubFileOf, isCommit, type HubFile, type Repository, type RepositoryId } from './repository.js'
import type { HubSettings } from './settings.js'

export function repositoryFolder({ cacheDir }: Pick<HubSettings, 'cacheDir'>, { type, name }: Pick<RepositoryId, 'type' | 'name'>): string {
  return path.join(cacheDir, `${type}s--${name.replaceAll('/', '--')}`)
}

export function snapshotFolder(settings: Pick<HubSettings, 'cacheDir'>, id: Pick<Repository, 'type' | 'name' | 'commit'>): string {
  return path.join(repositoryFolder(settings, id), 'snapshots', id.commit)
}

export function blobPath(settings: Pick<HubSettings, 'cacheDir'>, id: Pick<RepositoryId, 'type' | 'name'>, file: Pick<HubFile, 'oid'>): string {
  return path.join(repositoryFolder(settings, id), 'blobs', file.oid)
}

/** The snapshot of a revision that is here, whole or not, or null. */
export async function cachedSnapshot(settings: Pick<HubSettings, 'cacheDir'>, id: RepositoryId): Promise<{ commit: string; folder: string } | null> {
  const folder = repositoryFolder(settings, id)
  const commit = isCommit(id.revision) ? id.revision : await fs.readFile(path.join(folder, 'refs', ...id.revision.split('/')), 'utf8').then((text) => text.trim()).catch(() => '')
  if (!isCommit(commit)) return null
  const snapshot = path.join(folder, 'snapshots', commit)
  return (await pathKind(snapshot)) === 'folder' ? { commit, folder: snapshot } : null
}

/** A file that is here and has the size it should have, by its name in the snapshot; or null. */
export async function cachedFile(settings: HubSettings, repository: Repository, file: HubFile): Promise<string | null> {
  const target = path.join(snapshotFolder(settings, repository), ...file.path.split('/'))
  if (await hasSize(target, file.size)) return target
  const blob = blobPath(settings, repository, file)
  if (!(await hasSize(blob, file.size))) return null
  await linkFile(blob, target)
  return target
}

export async function hasSize(file: string, size: number): Promise<boolean> {
  const info = await fs.stat(file).catch(() => null)
  return info !== null && info.isFile() && info.size === size
}

/** Puts a blob into a snapshot, by a relative link as Python does; a copy where there are no links. Errors: FT_STORAGE. */
export async function linkFile(blob: string, target: string): Promise<void> {
  const folder = path.dirname(target)
  await makeFolder(folder)
  const temporary = path.join(folder, `.${path.basename(target).slice(0, 100)}.${process.pid}.${Math.random().toString(36).slice(2, 8)}.tmp`)
  try {
    try {
      await fs.symlink(path.relative(folder, blob), temporary)
    } catch (error) {
      if (errnoOf(error) !== 'EPERM' && errnoOf(error) !== 'ENOTSUP') throw error
      await fs.copyFile(blob, temporary)
    }
    await fs.rename(temporary, target)
  } catch (error) {
    await fs.rm(temporary, { force: true }).catch(() => undefined)
    throw storageError(error, 'link', target)
  }
}

/** Remembers which commit a branch or tag is. Errors: FT_STORAGE. */
export async function writeRef(settings: HubSettings, { commit, ...id }: Repository): Promise<void> {
  if (isCommit(id.revision)) return
  const file = path.join(repositoryFolder(settings, id), 'refs', ...id.revision.split('/'))
  if ((await fs.readFile(file, 'utf8').catch(() => '')) === commit) return
  await makeFolder(path.dirname(file))
  await writeFileAtomic(file, commit)
}

/** Beside what Python keeps there, and gone with it. */
function listingFile(settings: Pick<HubSettings, 'cacheDir'>, id: Pick<Repository, 'type' | 'name' | 'commit'>): string {
  return path.join(repositoryFolder(settings, id), 'listings', `${id.commit}.json`)
}

/** Remembers which files a commit has, of which some may be here. Errors: FT_STORAGE. */
export async function writeListing(settings: HubSettings, repository: Repository): Promise<void> {
  const file = listingFile(settings, repository)
  if ((await pathKind(file)) === 'file') return
  await makeFolder(path.dirname(file))
  await writeFileAtomic(file, JSON.stringify(repository.files))
}

/** null: it is not known, as where another program has fetched what is here. */
export async function readListing(settings: HubSettings, id: Pick<Repository, 'type' | 'name' | 'commit'>): Promise<HubFile[] | null> {
  try {
    const entries = JSON.parse(await fs.readFile(listingFile(settings, id), 'utf8')) as { path: unknown; size: unknown; oid: unknown }[]
    const files = entries.map((entry) => hubFileOf(id.name, entry))
    return files.includes(null) ? null : (files as HubFile[])
  } catch {
    return null
  }
}
