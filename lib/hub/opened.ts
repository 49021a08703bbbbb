// A repository of the hub as it is now, or what is in the cache where the hub cannot be asked or does not give it: as huggingface_hub,
// whose users have a private model and no token at hand, or no network. Once it is known which files there are, nothing falls back.
import { FineTuneError } from '../core/errors/index.js'
import { getLogger } from '../utils/logger.js'
import { cachedSnapshot, readListing } from './cache.js'
import { openRepository, type Repository, type RepositoryId } from './repository.js'
import type { HubSettings } from './settings.js'

export interface OpenedOptions {
  /** Whether a snapshot's folder has all that is needed: half of it helps nobody. */
  isWhole(folder: string): Promise<boolean>
  /** false: the files at the top alone. */
  recursive?: boolean
  signal?: AbortSignal
}

/** With a copy here a hub that does not answer is not waited for as long. */
const triesWithCopy = 2

/**
 * The repository, the folder of a whole snapshot, or null: there is none, and nothing may be asked. Where it is known which files
 * the snapshot's commit has, it is the repository: a file of it that is not here is missed then, and not passed over. Errors: FT_HUB, FT_HUB_AUTH, FT_HUB_NOT_FOUND.
 */
export async function openedOrCached(settings: HubSettings, id: RepositoryId, { isWhole, recursive, signal }: OpenedOptions): Promise<Repository | { folder: string } | null> {
  const snapshot = await cachedSnapshot(settings, id)
  const cached = snapshot !== null && (await isWhole(snapshot.folder)) ? await listed(settings, id, snapshot) : null
  if (settings.offline) return cached
  try {
    return await openRepository(cached === null ? settings : { ...settings, unreachedTries: triesWithCopy }, id, { recursive, signal })
  } catch (error) {
    if (cached === null || !(error instanceof FineTuneError) || !error.code.startsWith('FT_HUB') || error.details.code === 'RevisionNotFound') throw error
    getLogger().warn(`${id.name} is read from the cache: ${error.message}`)
    return cached
  }
}

async function listed(settings: HubSettings, id: RepositoryId, { commit, folder }: { commit: string; folder: string }): Promise<Repository | { folder: string }> {
  const files = await readListing(settings, { ...id, commit })
  return files === null ? { folder } : { ...id, commit, files }
}
