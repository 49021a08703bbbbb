// A data set of the hub as data files: which of its files are meant is read from its README and their names, as the Python
// package `datasets` does. Parquet is read by range requests; other files are downloaded when their first row is wanted.
import fs from 'node:fs/promises'
import path from 'node:path'
import { fail, FineTuneError } from '../../core/errors/index.js'
import { hubScheme } from '../../core/hub-name.js'
import {
  downloadFile, hubSettings, hubSignal, openedOrCached, openRepository, remoteFile, repositoryId, type HubFile, type HubSettings, type RemoteFile, type Repository, type RepositoryId,
} from '../../hub/index.js'
import { localSource, type ByteSource } from '../loaders/bytes.js'
import { matchPath } from '../loaders/glob.js'
import { DatasetLoaderRegistry } from '../loaders/index.js'
import type { SourceSettings } from './types.js'

/** Where the hub keeps every data set that it can convert as <config>/<split>/0000.parquet. */
const converted = 'refs/convert/parquet'
/** The index of a Parquet file of usual size comes with its last bytes. */
const tailBytes = 1 << 16

export interface HubDataset {
  /** "hf://datasets/org/name@abcdef0" */
  name: string
  readme: string
  files: ReadonlyMap<string, { bytes: number; source: ByteSource }>
  /** The paths are <config>/<split>/… */
  converted: boolean
  /** Files that the name asks for by a path or glob of its own: no splits. */
  chosen: string[] | null
}

/** What is here already, of a data set that the hub may not or cannot be asked for. */
export interface CachedDataset {
  folder: string
  chosen: string[] | null
}

/** Which commit a branch of a data set is: of data that is read together, all of it is of the same. */
export type KnownCommits = Map<string, string>

/** Errors: FT_HUB, FT_HUB_AUTH, FT_HUB_NOT_FOUND, FT_DATASET. */
export async function openHubDataset(text: string, { revision }: SourceSettings, commits: KnownCommits, given?: AbortSignal): Promise<HubDataset | CachedDataset> {
  const settings = hubSettings()
  const signal = hubSignal(given)
  const { id, inside } = parseName(text, revision)
  const name = `${id.name}@${id.revision}`
  const opened = await openedOrCached(settings, { ...id, revision: commits.get(name) ?? id.revision }, { isWhole: async (folder) => (await dataNames(folder, inside)).length > 0, signal })
  if (opened === null) {
    return fail('FT_DATASET', `the data set ${id.name} is not in the cache, and HF_HUB_OFFLINE forbids to ask the hub`, { remedy: `unset HF_HUB_OFFLINE, or name files; looked in ${settings.cacheDir}`, details: { name: id.name } })
  }
  commits.set(name, 'folder' in opened ? path.basename(opened.folder) : opened.commit)
  if ('folder' in opened) return { folder: opened.folder, chosen: inside === '' ? null : await dataNames(opened.folder, inside) }
  return await open(settings, opened, inside, signal)
}

/** Files of a snapshot that are data, and more than a description; where `inside` asks for some, those. */
async function dataNames(folder: string, inside: string): Promise<string[]> {
  const names = (await fs.readdir(folder, { recursive: true }).catch((): string[] => [])).map((name) => name.split(path.sep).join('/'))
  return names.filter((name) => (inside === '' ? DatasetLoaderRegistry.forName(name) !== undefined : isAskedFor(inside, name))).sort()
}

function isAskedFor(inside: string, name: string): boolean {
  return name === inside || name.startsWith(`${inside}/`) || matchPath(inside, name)
}

/** "org/name", "org/name@revision", "hf://datasets/org/name@revision/path/to/files". */
function parseName(text: string, revision: string | undefined): { id: RepositoryId; inside: string } {
  if (!text.startsWith(hubScheme)) return { id: repositoryId('dataset', text, revision), inside: '' }
  const parts = text.slice(hubScheme.length).split('/')
  const taken = parts[0]?.includes('@') ? 1 : 2
  const name = parts.slice(0, taken).join('/').replaceAll('%2F', '/')
  return { id: repositoryId('dataset', name, revision), inside: parts.slice(taken).join('/') }
}

async function open(settings: HubSettings, repository: Repository, inside: string, signal?: AbortSignal): Promise<HubDataset> {
  const { commit: _commit, files: _files, ...id } = repository
  const isData = (file: HubFile): boolean => DatasetLoaderRegistry.forName(file.path) !== undefined
  if (inside !== '') {
    const chosen = repository.files.filter((file) => isAskedFor(inside, file.path)).map((file) => file.path).sort()
    if (chosen.length === 0) fail('FT_HUB_NOT_FOUND', `${id.name} has no file ${inside}`, { remedy: 'check the path on its page' })
    return datasetOf(settings, repository, '', chosen)
  }
  const script = repository.files.some((file) => file.path === `${id.name.split('/').pop() ?? ''}.py`)
  if (script && !repository.files.some((file) => isData(file) && file.path !== 'README.md')) {
    const parquet = await openRepository(settings, { ...id, revision: converted }, { signal }).catch((error: unknown) => {
      if (error instanceof FineTuneError && error.code === 'FT_HUB_NOT_FOUND') return fail('FT_DATASET', `the data set ${id.name} is made by a script, which is not run, and the hub has no Parquet of it`, { remedy: 'write it to files with the Python package, and name them', cause: error })
      throw error
    })
    return { ...datasetOf(settings, parquet, ''), converted: true }
  }
  const readme = repository.files.find((file) => file.path === 'README.md')
  const text = readme === undefined ? '' : await fs.readFile(await downloadFile(settings, repository, readme, { signal }), 'utf8')
  return datasetOf(settings, repository, text)
}

function datasetOf(settings: HubSettings, repository: Repository, readme: string, chosen: string[] | null = null): HubDataset {
  const name = `${hubScheme}${repository.name}@${repository.commit.slice(0, 7)}`
  const files = new Map(repository.files.map((file) => [file.path, { bytes: file.size, source: hubSource(`${name}/${file.path}`, remoteFile(settings, repository, file)) }]))
  return { name, readme, files, converted: false, chosen }
}

/** Reads parts where parts are asked for, and downloads where a whole is. */
function hubSource(name: string, remote: RemoteFile): ByteSource {
  /** The end of the file: a Parquet file is entered from there. */
  let tail: { start: number; bytes: Buffer } | null = null
  const file = async (signal?: AbortSignal): Promise<string> => (await remote.local()) ?? (await remote.download(hubSignal(signal)))
  const download = async (signal?: AbortSignal): Promise<ByteSource> => localSource(await file(signal))
  return {
    name,
    size: remote.size,
    content: remote.oid,
    file,
    head: async (signal) => (await download(signal)).head(signal),
    async *stream(options) {
      yield* (await download(options?.signal)).stream(options)
    },
    async read(start, end, given) {
      const signal = hubSignal(given)
      const local = await remote.local()
      if (local !== null) return await (localSource(local).read as NonNullable<ByteSource['read']>)(start, end, signal)
      if (end === remote.size && tail === null && end - start < tailBytes) {
        const from = Math.max(0, end - tailBytes)
        tail = { start: from, bytes: await remote.read(from, end, signal) }
      }
      if (tail !== null && start >= tail.start) return tail.bytes.subarray(start - tail.start, end - tail.start)
      return await remote.read(start, end, signal)
    },
  }
}
