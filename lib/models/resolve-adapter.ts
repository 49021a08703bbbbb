// From an adapter's name to its folder: a folder on disk, or an adapter of the hub, from the cache or downloaded into it.
import path from 'node:path'
import { FineTuneError, makeError } from '../core/errors/index.js'
import { namesHubRepository } from '../core/hub-name.js'
import { adapterFolder, hubSettings, hubSignal, repositoryFolder, repositoryId } from '../hub/index.js'
import { pathKind } from '../utils/fs.js'
import { pinnedFolder } from './pinned.js'

const remedy = 'give a folder that PEFT or ft-native saved, or the name of an adapter of the hub (org/name); a private one needs HF_TOKEN, and HF_HUB_OFFLINE allows cached ones only'

/** Errors: FT_ADAPTER, naming every place that was looked at; FT_HUB, FT_HUB_AUTH, FT_PICKLE_REFUSED, FT_STORAGE. */
export async function resolveAdapterFolder(name: string, env: NodeJS.ProcessEnv = process.env, options: { signal?: AbortSignal } = {}): Promise<string> {
  if (typeof name !== 'string' || name === '' || name.includes('\0')) throw makeError('FT_ADAPTER', 'no adapter was named', { remedy })
  const kind = await pathKind(name)
  if (kind === 'folder') return name
  if (kind === 'file') throw makeError('FT_ADAPTER', `${name} is a file: an adapter is a folder with adapter_config.json and adapter_model.safetensors`, { remedy: `use its folder: ${path.dirname(name)}`, details: { path: name } })
  if (!namesHubRepository(name)) throw notFound(name, [])
  const settings = hubSettings(env)
  const id = repositoryId('model', name)
  const looked = [repositoryFolder(settings, id)]
  return await pinnedFolder(settings, id, 'adapter', async (at) => {
    try {
      const folder = await adapterFolder(settings, at, { signal: hubSignal(options.signal) })
      if (folder !== null) return folder
    } catch (error) {
      if (error instanceof FineTuneError && error.code === 'FT_HUB_NOT_FOUND') throw notFound(name, [...looked, `${settings.endpoint}/${id.name}`], error)
      throw error
    }
    throw notFound(name, looked)
  })
}

function notFound(name: string, looked: readonly string[], cause?: FineTuneError): FineTuneError {
  const places = [path.resolve(name), ...looked]
  return makeError('FT_ADAPTER', `there is no adapter ${JSON.stringify(name)}: looked for ${places.join(' and for ')}${cause === undefined ? '' : ` (${cause.message})`}`, { remedy, details: { name, looked: places }, cause })
}
