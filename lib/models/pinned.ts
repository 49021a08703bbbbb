// A name of the hub is one commit for as long as the process lives: what is asked for first may be the tokenizer and later the
// weights, and a branch may move between the two.
import path from 'node:path'
import type { HubSettings, RepositoryId } from '../hub/index.js'
import { pathKind } from '../utils/fs.js'

/** Which files of a repository: those of a model without its weights, all of a model, or an adapter. */
export type Need = 'tokenizer' | 'weights' | 'adapter'

interface Pin {
  folder: Promise<string>
  has: Set<Need>
}

const pins = new Map<string, Pin>()

/** The snapshot's folder; `fetch` makes it, and is asked once for what is there. Errors: those of `fetch`. */
export async function pinnedFolder({ cacheDir, endpoint, token, offline }: HubSettings, id: RepositoryId, need: Need, fetch: (id: RepositoryId) => Promise<string>): Promise<string> {
  const key = JSON.stringify([cacheDir, endpoint, token, offline, id])
  const before = pins.get(key)
  if (before?.has.has(need)) {
    const folder = await before.folder
    if ((await pathKind(folder)) === 'folder') return folder
  }
  const has = new Set<Need>(need === 'weights' ? ['tokenizer', 'weights'] : [need])
  const folder = (async () => {
    // What failed says nothing.
    const known = await before?.folder.catch(() => undefined)
    const made = await fetch(known === undefined ? id : { ...id, revision: path.basename(known) })
    if (known !== undefined && (await pathKind(known)) === 'folder') before?.has.forEach((one) => has.add(one))
    return made
  })()
  const pin = { folder, has }
  pins.set(key, pin)
  try {
    return await folder
  } catch (error) {
    // It may be asked for again.
    if (pins.get(key) === pin) {
      if (before === undefined) pins.delete(key)
      else pins.set(key, before)
    }
    throw error
  }
}
