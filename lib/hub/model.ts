// A model of the hub as a folder: the files that are needed and no others, from the cache where they are there already.
import fs from 'node:fs/promises'
import path from 'node:path'
import { fail } from '../core/errors/index.js'
import { cachedSnapshot } from './cache.js'
import { downloadFile } from './download.js'
import { openedOrCached } from './opened.js'
import { checkFileName, type HubFile, type Repository, type RepositoryId } from './repository.js'
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
 * The snapshot's folder, or null: it is not here and nothing may be asked (HF_HUB_OFFLINE). What is here as a whole is used with a
 * warning where the hub cannot be asked. Errors: FT_HUB, FT_HUB_AUTH, FT_HUB_NOT_FOUND, FT_PICKLE_REFUSED, FT_MISSING_SHARD, FT_STORAGE.
 */
export async function modelFolder(settings: HubSettings, id: RepositoryId, options: ModelFilesOptions = {}): Promise<string | null> {
  const opened = await openedOrCached(settings, id, { isWhole: (folder) => isWholeModel(folder, options.weights ?? true), recursive: false, signal: options.signal })
  if (opened !== null) return 'folder' in opened ? opened.folder : await fetchModel(settings, opened, options)
  // Nothing more can be had: whoever reads it says what it lacks.
  const part = await cachedSnapshot(settings, id)
  return part !== null && (await isWholeModel(part.folder, false)) ? part.folder : null
}

/** Other programs may have fetched pickles: what is said of these is for whoever reads the folder. */
async function isWholeModel(folder: string, weights: boolean): Promise<boolean> {
  const names = await fs.readdir(folder).catch((): string[] => [])
  const here = new Set<string>()
  for (const name of names) if (await isFile(path.join(folder, name))) here.add(name)
  if (!here.has('config.json') && !here.has('adapter_config.json')) return false
  if (!weights) return true
  if (here.has('model.safetensors')) return true
  const index = here.has('model.safetensors.index.json') ? 'model.safetensors.index.json' : [...here].find((name) => indexFile.test(name))
  if (index === undefined) return [...here].some((name) => name.endsWith('.safetensors') || pickleWeights.test(name))
  const shards = shardsOf(await fs.readFile(path.join(folder, index), 'utf8').catch(() => ''))
  return shards?.every((name) => typeof name === 'string' && here.has(name)) ?? false
}

async function isFile(file: string): Promise<boolean> {
  return await fs.stat(file).then((info) => info.isFile()).catch(() => false)
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
  const names = shardsOf(await fs.readFile(index, 'utf8').catch(() => '')) ?? fail('FT_SAFETENSORS', `${index} is not an index of safetensors files`, { remedy: 'use another revision' })
  names.forEach((name) => checkFileName(repository.name, name))
  return names as string[]
}

/** What an index names, or null: it is none. */
function shardsOf(index: string): unknown[] | null {
  try {
    const map: unknown = (JSON.parse(index) as { weight_map?: unknown } | null)?.weight_map
    return typeof map === 'object' && map !== null ? [...new Set(Object.values(map) as unknown[])] : null
  } catch {
    return null
  }
}

function refusePickles({ name, files }: Repository): void {
  const pickle = files.find((file) => pickleWeights.test(file.path))
  if (pickle === undefined) fail('FT_HUB_NOT_FOUND', `${name} has no safetensors files`, { remedy: 'check the name; --init random needs no weights' })
  fail('FT_PICKLE_REFUSED', `the weights of ${name} are pickles (${pickle.path}), which can run any code when they are read: they are not downloaded`, {
    remedy: 'look for a revision with safetensors (often refs/pr/…), or convert them where you trust them', details: { file: pickle.path },
  })
}
