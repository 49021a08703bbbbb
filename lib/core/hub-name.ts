// Names of repositories on a hub, and how they are told from paths. Shared by the configuration, which must not make a
// path of a name, and by whoever resolves it.
import { existsSync } from 'node:fs'
import path from 'node:path'

const part = /^[A-Za-z0-9](?:[\w.-]{0,94}\w)?$/
/** What a person who writes it means as a file. */
const fileName = /\.(?:jsonl?|ndjson|csv|tsv|tab|txt|text|parquet|pq|gz|gzip|zst|zstd|ya?ml|arrow|xlsx?|zip|safetensors)$/i

/** "org/name", or "name" of the hub's first years. */
export function isRepositoryName(text: string): boolean {
  const parts = text.split('/')
  return parts.length <= 2 && parts.every((one) => part.test(one)) && !text.includes('--') && !text.includes('..')
}

/** "org/name@v1" → the name and "v1". A path is no name, whatever is in it. */
export function splitRevision(text: string): { name: string; revision: string | null } {
  const [name = '', revision] = text.split(/@(.*)/s)
  return revision === undefined || revision === '' || !isRepositoryName(name) ? { name: text, revision: null } : { name, revision }
}

export const hubScheme = 'hf://datasets/'

/** True for what is no path: hf://datasets/…, or a repository. */
export function namesHubData(text: string): boolean {
  return text.startsWith(hubScheme) || namesHubRepository(text)
}

/** "org/name" ("org/name@revision") where neither that path nor a folder "org" is here: "out/adaptor" beside a folder "out" is a slip of the pen. */
export function namesHubRepository(text: string): boolean {
  const [name = ''] = text.split('@')
  return name.includes('/') && isRepositoryName(name) && !fileName.test(text) && !existsSync(text) && !existsSync(path.dirname(text))
}
