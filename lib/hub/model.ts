// A model of the hub as a folder: the files that are needed and no others, from the cache where they are there already.
import fs from 'node:fs/promises'
import path from 'node:path'
import { fail, FineTuneError } from '../core/errors/index.js'
import { getLogger } from '../utils/logger.js'
import { cachedSnapshot } from './cache.js'
import { downloadFile } from './download.js'
import { checkFileName, openRepository, type HubFile, type Repository, type RepositoryId } from './repository.js'
import type { HubSettings } from './settings.js'
import { downloadFiles } from './snapshot.js'

export interface ModelFilesOptions {
  /** false: configuration and tokenizer alone. */
  weights?: boolean
  signal?: AbortSignal
}

/** Small files by name; models keep no others that are read. */
const smallFiles = /^(?:config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|adapter_config|quantize_config|quantization_config|chat_template|preprocessor_config)\.json$|^merges\.txt$|^vocab\.txt$|^chat_template\.jinja$|^[\w.-]*\.model$/
const indexFile = /^(?:model|pytorch_model)?[\w.-]*\.safetensors\.index\.json$/
const pickleWeights = /\.(?:bin|pt|pth|ckpt|h5|msgpack)$/i

/**
 * The snapshot's folder, or null: it is not here and nothing may be asked (HF_HUB_OFFLINE). What is here is used with a warning
 * where the hub cannot be asked. Errors: FT_HUB, FT_HUB_AUTH, FT_HUB_NOT_FOUND, FT_PICKLE_REFUSED, FT_MISSING_SHARD, FT_STORAGE.
 */
export async function modelFolder(settings: HubSettings, id: RepositoryId, options: ModelFilesOptions = {}): Promise<string | null> {
  return await openedOrCached(settings, id, { kept: [['config.json'], ['adapter_config.json']], fetch: (repository) => fetchModel(settings, repository, options), signal: options.signal })
}

export interface OpenedOrCached {
  /** Files one set of which a snapshot has to have to be of use. */
  kept: readonly (readonly string[])[]
  fetch(repository: Repository): Promise<string>
  signal?: AbortSignal
}

/** The folder that `fetch` makes of the repository, or the snapshot in the cache where the hub may not or cannot be asked. */
export async function openedOrCached(settings: HubSettings, id: RepositoryId, { kept, fetch, signal }: OpenedOrCached): Promise<string | null> {
  const cached = await usableSnapshot(settings, id, kept)
  if (settings.offline) return cached
  let repository: Repository
  try {
    // With a copy here there is little to wait for.
    repository = await openRepository(cached === null ? settings : { ...settings, tries: 1 }, id, { recursive: false, signal })
  } catch (error) {
    if (cached === null || !(error instanceof FineTuneError) || !error.code.startsWith('FT_HUB')) throw error
    getLogger().warn(`${id.name} is read from the cache: ${error.message}`)
    return cached
  }
  return await fetch(repository)
}

async function usableSnapshot(settings: HubSettings, id: RepositoryId, kept: OpenedOrCached['kept']): Promise<string | null> {
  const snapshot = await cachedSnapshot(settings, id)
  if (snapshot === null) return null
  for (const names of kept) {
    const found = await Promise.all(names.map((name) => fs.stat(path.join(snapshot.folder, name)).then((info) => info.isFile()).catch(() => false)))
    if (!found.includes(false)) return snapshot.folder
  }
  return null
}

async function fetchModel(settings: HubSettings, repository: Repository, { weights = true, signal }: ModelFilesOptions): Promise<string> {
  const small = repository.files.filter((file) => smallFiles.test(file.path))
  if (!small.some((file) => file.path === 'config.json' || file.path === 'adapter_config.json')) {
    fail('FT_HUB_NOT_FOUND', `${repository.name} has no config.json: it is no model that can be read`, { remedy: 'check the name; a model in a folder of a repository has to be downloaded by hand' })
  }
  const large = weights ? await weightFiles(settings, repository, signal) : []
  return await downloadFiles(settings, repository, [...small, ...large], signal)
}

async function weightFiles(settings: HubSettings, repository: Repository, signal?: AbortSignal): Promise<HubFile[]> {
  const byName = new Map(repository.files.map((file) => [file.path, file]))
  const index = byName.get('model.safetensors.index.json') ?? repository.files.find((file) => indexFile.test(file.path))
  const single = byName.get('model.safetensors')
  if (single !== undefined && (index === undefined || index.path !== 'model.safetensors.index.json')) return [single]
  if (index === undefined) {
    const found = repository.files.filter((file) => /^[^/]*\.safetensors$/.test(file.path))
    if (found.length === 0) refusePickles(repository)
    return found
  }
  const shards = await shardNames(repository, await downloadFile(settings, repository, index, { signal }))
  return [index, ...shards.map((name) => byName.get(name) ?? fail('FT_MISSING_SHARD', `${repository.name}: ${index.path} names a file that is not there, ${name}`, { remedy: 'use another revision', details: { shard: name } }))]
}

async function shardNames(repository: Repository, index: string): Promise<string[]> {
  let map: unknown
  try {
    map = (JSON.parse(await fs.readFile(index, 'utf8')) as { weight_map?: unknown } | null)?.weight_map
  } catch {
    map = undefined
  }
  if (typeof map !== 'object' || map === null) return fail('FT_SAFETENSORS', `${index} is not an index of safetensors files`, { remedy: 'use another revision' })
  const names = [...new Set(Object.values(map) as unknown[])]
  names.forEach((name) => checkFileName(repository.name, name))
  return names as string[]
}

function refusePickles({ name, files }: Repository): void {
  const pickle = files.find((file) => pickleWeights.test(file.path))
  if (pickle === undefined) fail('FT_HUB_NOT_FOUND', `${name} has no safetensors files`, { remedy: 'check the name; --init random needs no weights' })
  fail('FT_PICKLE_REFUSED', `the weights of ${name} are pickles (${pickle.path}), which can run any code when they are read: they are not downloaded`, {
    remedy: 'look for a revision with safetensors (often refs/pr/…), or convert them where you trust them', details: { file: pickle.path },
  })
}
