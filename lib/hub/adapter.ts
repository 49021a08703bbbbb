// A PEFT adapter of the hub as a folder: its configuration and its safetensors weights, from the cache where they are there already.
import path from 'node:path'
import { fail } from '../core/errors/index.js'
import { pathKind } from '../utils/fs.js'
import { openedOrCached } from './opened.js'
import type { Repository, RepositoryId } from './repository.js'
import type { HubSettings } from './settings.js'
import { downloadFiles } from './snapshot.js'

const configFile = 'adapter_config.json'
const weightsFile = 'adapter_model.safetensors'

/** As modelFolder. Errors: FT_HUB, FT_HUB_AUTH, FT_HUB_NOT_FOUND, FT_PICKLE_REFUSED, FT_STORAGE. */
export async function adapterFolder(settings: HubSettings, id: RepositoryId, { signal }: { signal?: AbortSignal } = {}): Promise<string | null> {
  const opened = await openedOrCached(settings, id, { isWhole: hasBoth, recursive: false, signal })
  return opened === null || 'folder' in opened ? (opened?.folder ?? null) : await fetchAdapter(settings, opened, signal)
}

async function hasBoth(folder: string): Promise<boolean> {
  const kinds = await Promise.all([configFile, weightsFile].map((name) => pathKind(path.join(folder, name))))
  return kinds.every((kind) => kind === 'file')
}

async function fetchAdapter(settings: HubSettings, repository: Repository, signal?: AbortSignal): Promise<string> {
  const { name, files } = repository
  const wanted = files.filter(({ path }) => path === configFile || path === weightsFile)
  if (!wanted.some(({ path }) => path === configFile)) {
    fail('FT_HUB_NOT_FOUND', `${name} has no ${configFile}: it is no adapter`, { remedy: 'check the name; an adapter in a folder of a repository has to be downloaded by hand' })
  }
  if (!wanted.some(({ path }) => path === weightsFile)) {
    const pickle = files.find(({ path }) => /^adapter_model\.(?:bin|pt|pth)$/.test(path))
    if (pickle === undefined) fail('FT_HUB_NOT_FOUND', `${name} has no ${weightsFile}`, { remedy: 'check the name and the revision' })
    fail('FT_PICKLE_REFUSED', `the weights of the adapter ${name} are a pickle (${pickle.path}), which can run any code when it is read: it is not downloaded`, {
      remedy: 'look for a revision with safetensors, or convert it where you trust it', details: { file: pickle.path },
    })
  }
  return await downloadFiles(settings, repository, wanted, signal)
}
