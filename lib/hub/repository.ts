// What is in a repository of the hub at one commit: names, sizes and hashes of its files. Asked through @huggingface/hub, with
// our own requests under it.
import { fail, FineTuneError, makeError } from '../core/errors/index.js'
import { isRepositoryName } from '../core/hub-name.js'
import { hubFetch } from './http.js'
import type { HubSettings } from './settings.js'

export type RepositoryType = 'model' | 'dataset'

export interface RepositoryId {
  type: RepositoryType
  /** "org/name" */
  name: string
  /** Branch, tag or commit. */
  revision: string
}

export interface HubFile {
  /** With "/"; safe to join to a folder. */
  path: string
  size: number
  /** Name of its blob: SHA-256 of the content (LFS), or git's SHA-1. */
  oid: string
}

export interface Repository extends RepositoryId {
  commit: string
  files: HubFile[]
}

const commitName = /^[0-9a-f]{40}$/
const oidName = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/
const revisionName = /^[A-Za-z0-9][\w./+-]{0,254}$/

/** One entry of a list of files; null: it is damaged. Errors: FT_UNSAFE_PATH. */
export function hubFileOf(repository: string, { path, size, oid }: { path: unknown; size: unknown; oid: unknown }): HubFile | null {
  checkFileName(repository, path)
  return typeof oid === 'string' && oidName.test(oid) && Number.isSafeInteger(size) && (size as number) >= 0 ? { path, size: size as number, oid } : null
}

export function isCommit(revision: string): boolean {
  return commitName.test(revision)
}

/** "org/name" or "org/name@revision". Errors: FT_INVALID_ARGUMENT. */
export function repositoryId(type: RepositoryType, text: string, revision?: string): RepositoryId {
  const [name = '', inName] = text.split(/@(.*)/s)
  const wanted = inName ?? revision ?? 'main'
  if (!isRepositoryName(name)) fail('FT_INVALID_ARGUMENT', `${JSON.stringify(text)} is not the name of a repository`, { remedy: 'write it as on its page: org/name, or org/name@revision' })
  if (!revisionName.test(wanted) || wanted.includes('..') || wanted.includes('//')) {
    fail('FT_INVALID_ARGUMENT', `${JSON.stringify(wanted)} cannot be a revision`, { remedy: 'name a branch, a tag or a commit' })
  }
  return { type, name, revision: wanted }
}

/** Asks for the commit and all files. Errors: FT_HUB, FT_HUB_AUTH, FT_HUB_NOT_FOUND. */
export async function openRepository(settings: HubSettings, id: RepositoryId, { recursive = true, signal }: { recursive?: boolean; signal?: AbortSignal } = {}): Promise<Repository> {
  const { listFiles } = await import('@huggingface/hub')
  const commit = await commitOf(settings, id, signal)
  const files: HubFile[] = []
  const what = `the files of ${id.name}`
  const options = { repo: { type: id.type, name: id.name }, revision: commit, recursive, hubUrl: settings.endpoint, fetch: hubFetch(settings, what, signal) }
  for await (const { type, path, size, oid, lfs } of asHub(listFiles(options), what)) {
    if (type !== 'file') continue
    const file = hubFileOf(id.name, { path, size: lfs?.size ?? size, oid: lfs?.oid ?? oid })
    files.push(file ?? fail('FT_HUB', `the hub's list of files of ${id.name} is damaged`, { remedy: 'check HF_ENDPOINT, and try again' }))
  }
  return { ...id, commit, files }
}

async function commitOf(settings: HubSettings, { type, name, revision }: RepositoryId, signal?: AbortSignal): Promise<string> {
  if (isCommit(revision)) return revision
  const { datasetInfo, modelInfo } = await import('@huggingface/hub')
  const options = { name, revision, hubUrl: settings.endpoint, additionalFields: ['sha' as const], fetch: hubFetch(settings, name, signal) }
  const info: { sha?: unknown } = await told(name, () => (type === 'model' ? modelInfo({ ...options, additionalFields: ['sha'] }) : datasetInfo({ ...options, additionalFields: ['sha'] })))
  const { sha } = info
  if (typeof sha === 'string' && isCommit(sha)) return sha
  return fail('FT_HUB', `the hub does not say which commit ${revision} of ${name} is`, { remedy: 'check HF_ENDPOINT, and try again' })
}

/** What the library makes of a bad answer is the hub's fault, not ours. */
async function told<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof FineTuneError) throw error
    throw makeError('FT_HUB', `the hub's answer about ${what} cannot be understood`, { remedy: 'check HF_ENDPOINT, and try again', cause: error })
  }
}

async function* asHub<T>(items: AsyncIterable<T>, what: string): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]()
  for (;;) {
    const next = await told(what, () => iterator.next())
    if (next.done === true) return
    yield next.value
  }
}

/** A name that stays inside the folder it is joined to, on every system. Errors: FT_UNSAFE_PATH. */
export function checkFileName(repository: string, name: unknown): asserts name is string {
  const parts = typeof name === 'string' ? name.split('/') : []
  const safe = parts.length > 0 && parts.every((part) => part !== '' && part !== '.' && part !== '..' && part.length <= 255 && !/[\u0000-\u001f\u007f\\:*?"<>|]/.test(part))
  if (!safe) fail('FT_UNSAFE_PATH', `${repository} lists a file whose name could lead out of its folder`, { remedy: 'do not use this repository', details: { repository } })
}

/** Address of a file's content. */
export function fileUrl({ endpoint }: HubSettings, { type, name, commit }: Pick<Repository, 'type' | 'name' | 'commit'>, file: string): string {
  const prefix = type === 'dataset' ? 'datasets/' : ''
  return `${endpoint}/${prefix}${name}/resolve/${commit}/${file.split('/').map(encodeURIComponent).join('/')}`
}
