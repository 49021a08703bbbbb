// From a model's name to its folder: a folder on disk, or a model of the hub, from the cache
// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache) or downloaded into it.
import path from 'node:path'
import { FineTuneError, makeError } from '../core/errors/index.js'
import { isRepositoryName, splitRevision } from '../core/hub-name.js'
import { hubSettings, hubSignal, modelFolder, repositoryFolder, repositoryId, type HubSettings, type RepositoryId } from '../hub/index.js'
import { pathKind } from '../utils/fs.js'
import { pinnedFolder } from './pinned.js'

export interface ResolveOptions {
  /** What of a model of the hub has to be there: configuration and tokenizer, or the weights too. Default: weights. */
  need?: 'tokenizer' | 'weights'
  signal?: AbortSignal
}

/** Errors: FT_MODEL_NOT_FOUND, naming every place that was looked at; FT_HUB, FT_HUB_AUTH, FT_PICKLE_REFUSED, FT_STORAGE. */
export async function resolveModelFolder(name: string, env: NodeJS.ProcessEnv = process.env, options: ResolveOptions = {}): Promise<string> {
  if (typeof name !== 'string' || name === '' || name.includes('\0')) {
    throw makeError('FT_MODEL_NOT_FOUND', 'no model was named', { remedy: 'give a folder with a config.json' })
  }
  const kind = await pathKind(name)
  if (kind === 'folder') return name
  if (kind === 'file') {
    throw makeError('FT_MODEL_NOT_FOUND', `${name} is a file: a model is a folder with config.json and *.safetensors`, {
      remedy: `use its folder: ${path.dirname(name)}`, details: { path: name },
    })
  }
  const { name: base, revision } = splitRevision(name)
  // An adapter may name a base that lies here together with a revision.
  if (revision !== null && (await pathKind(base)) === 'folder') return base
  if (!isRepositoryName(base)) throw notFound(name, [])
  const settings = hubSettings(env)
  const id = repositoryId('model', name)
  return await pinnedFolder(settings, id, options.need ?? 'weights', (at) => fromHub(settings, name, at, options))
}

async function fromHub(settings: HubSettings, name: string, id: RepositoryId, { need, signal }: ResolveOptions): Promise<string> {
  const looked = [repositoryFolder(settings, id)]
  try {
    const folder = await modelFolder(settings, id, { weights: need !== 'tokenizer', signal: hubSignal(signal) })
    if (folder !== null) return folder
  } catch (error) {
    if (!(error instanceof FineTuneError)) throw error
    if (error.code === 'FT_HUB_NOT_FOUND') throw notFound(name, [...looked, `${settings.endpoint}/${id.name}`], error)
    // One word is a folder's name more often than a model's.
    if (error.code === 'FT_HUB' && !name.includes('/')) throw notFound(name, looked, error)
    throw error
  }
  throw notFound(name, looked)
}

function notFound(name: string, looked: readonly string[], cause?: FineTuneError): FineTuneError {
  const places = [path.resolve(name), ...looked]
  return makeError('FT_MODEL_NOT_FOUND', `there is no model ${JSON.stringify(name)}: looked for ${places.join(' and for ')}${cause === undefined ? '' : ` (${cause.message})`}`, {
    remedy: 'give a folder with config.json, tokenizer and *.safetensors files, or the name of a model of the hub; a private one needs HF_TOKEN, and HF_HUB_OFFLINE allows cached ones only',
    details: { name, looked: places }, cause,
  })
}
