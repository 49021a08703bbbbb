// A hub on this machine, for tests: repositories from memory, answered as huggingface.co answers, and every fault that a network or
// a hub can have, one rule at a time.
import { createHash } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export type Fault =
  /** A status, with headers. */
  | { status: number; headers?: Record<string, string> }
  /** The connection breaks off after so many bytes of the body (before any answer: -1). */
  | { reset: number }
  /** The body ends early, as if it were whole. */
  | { truncate: number }
  /** Nothing comes any more after so many bytes; no answer at all: -1. */
  | { stall: number }
  /** Other bytes of the same length, with the right headers. */
  | { corrupt: true }
  /** More bytes than the file has. */
  | { excess: true }
  /** The whole file where a part was asked for. */
  | { noRange: true }
  /** Another part than was asked for. */
  | { wrongRange: true }
  | { etag: string }

export interface Rule {
  /** Part of the path. */
  path: string
  fault: Fault
  /** How often; default: once. */
  times?: number
}

export interface Seen {
  host: string
  method: string
  path: string
  authorization: string | undefined
  range: string | undefined
}

interface Repo {
  commit: string
  files: Map<string, Buffer>
  /** branch → commit → files of other revisions */
  revisions: Map<string, Map<string, Buffer>>
}

export interface HubServer {
  endpoint: string
  /** Another host that content comes from: the same server under another name. */
  cdn: string
  seen: Seen[]
  rules: Rule[]
  /** Send content by a redirect to the other host. */
  redirect: boolean
  /** Wanted in Authorization, else 401. */
  token: string | undefined
  add(kind: 'models' | 'datasets', name: string, files: Readonly<Record<string, string | Uint8Array>>, revision?: string): void
  commitOf(kind: 'models' | 'datasets', name: string, revision?: string): string
  /** Requests for the content of files whose path has this part. */
  downloads(part: string): Seen[]
  close(): Promise<void>
}

/** Larger files are in LFS: their blob is named by SHA-256. */
const lfsBytes = 256

const oids = new WeakMap<Uint8Array, string>()

export function oidOf(content: Uint8Array): string {
  const oid = oids.get(content) ?? makeOid(content)
  oids.set(content, oid)
  return oid
}

function makeOid(content: Uint8Array): string {
  if (content.length >= lfsBytes) return createHash('sha256').update(content).digest('hex')
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
}

export async function startHub(): Promise<HubServer> {
  const repos = new Map<string, Repo>()
  const server = http.createServer((incoming, answer) => {
    handle(incoming, answer).catch((error: unknown) => {
      answer.destroy(error instanceof Error ? error : undefined)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const hub: HubServer = {
    endpoint: `http://127.0.0.1:${port}`, cdn: `http://localhost:${port}`, seen: [], rules: [], redirect: false, token: undefined,
    add(kind, name, files, revision = 'main') {
      const key = `${kind}/${name}`
      const repo = repos.get(key) ?? { commit: '', files: new Map(), revisions: new Map() }
      const old = repo.revisions.get(revision)
      // A commit stays when its branch has moved on.
      if (old !== undefined) repo.revisions.set(commitOf(repo, revision), old)
      repo.revisions.set(revision, new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content)])))
      repos.set(key, repo)
    },
    commitOf: (kind, name, revision = 'main') => commitOf(repos.get(`${kind}/${name}`) as Repo, revision),
    downloads: (part) => hub.seen.filter((one) => one.path.includes('/resolve/') && one.path.includes(part) && !one.path.includes('/api/')),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }

  async function handle(incoming: http.IncomingMessage, answer: http.ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', hub.endpoint)
    const path = decodeURIComponent(url.pathname)
    const { authorization, range } = incoming.headers
    hub.seen.push({ host: incoming.headers.host ?? '', method: incoming.method ?? '', path, authorization, range })
    const rule = hub.rules.find((one) => path.includes(one.path) && (one.times ?? 1) > 0 && (!hub.redirect || path.startsWith('/cdn/') || path.includes('/api/')))
    if (rule !== undefined) rule.times = (rule.times ?? 1) - 1
    const fault = rule?.fault
    if (fault !== undefined && 'status' in fault) return void answer.writeHead(fault.status, fault.headers ?? {}).end('{"error":"hunter2 is told"}')
    if (fault !== undefined && 'reset' in fault && fault.reset < 0) return void incoming.socket.destroy()
    if (fault !== undefined && 'stall' in fault && fault.stall < 0) return
    if (hub.token !== undefined && !path.startsWith('/cdn/') && authorization !== `Bearer ${hub.token}`) return void answer.writeHead(401, { 'x-error-message': 'Invalid credentials' }).end()
    const api = /^\/api\/(models|datasets)\/([^/]+\/[^/]+|[^/]+)\/(revision|tree)\/([^?]+)$/.exec(path)
    if (api !== null) return answerApi(answer, repos.get(`${api[1]}/${api[2]}`), api[3] as string, api[4] as string, url)
    const content = /^\/(?:cdn\/)?(datasets\/)?([^/]+\/[^/]+|[^/]+)\/resolve\/([0-9a-f]{40}|main)\/(.+)$/.exec(path)
    const repo = content === null ? undefined : repos.get(`${content[1] === undefined ? 'models' : 'datasets'}/${content[2]}`)
    const revision = [...(repo?.revisions.keys() ?? [])].find((one) => one === content?.[3] || commitOf(repo as Repo, one) === content?.[3])
    const file = revision === undefined ? undefined : repo?.revisions.get(revision)?.get(content?.[4] ?? '')
    if (file === undefined) return void answer.writeHead(404, { 'x-error-code': repo === undefined ? 'RepoNotFound' : 'EntryNotFound' }).end()
    const linked = { 'x-repo-commit': commitOf(repo as Repo, revision as string), 'x-linked-etag': `"${oidOf(file)}"`, 'x-linked-size': String(file.length) }
    if (hub.redirect && !path.startsWith('/cdn/')) return void answer.writeHead(302, { location: `${hub.cdn}/cdn${url.pathname}`, ...linked }).end()
    await sendFile(incoming, answer, file, fault, linked)
  }

  return hub
}

function commitOf(repo: Repo, revision: string): string {
  const hash = createHash('sha1').update(revision)
  for (const [path, content] of repo.revisions.get(revision) ?? []) hash.update(path).update(oidOf(content))
  return hash.digest('hex')
}

function answerApi(answer: http.ServerResponse, repo: Repo | undefined, what: string, wanted: string, url: URL): void {
  if (repo === undefined) return void answer.writeHead(401, { 'x-error-code': 'RepoNotFound' }).end()
  const parts = wanted.split('/')
  const revision = [...repo.revisions.keys()].find((one) => wanted === one || (one === 'main' && wanted === 'HEAD') || commitOf(repo, one) === parts[0])
  if (revision === undefined) return void answer.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end()
  const files = [...(repo.revisions.get(revision) ?? [])]
  answer.setHeader('content-type', 'application/json')
  if (what === 'revision') return void answer.end(JSON.stringify({ _id: 'x', id: 'x/y', sha: commitOf(repo, revision), private: false, gated: false, downloads: 0, likes: 0, lastModified: '2024-01-01T00:00:00.000Z' }))
  const recursive = url.searchParams.get('recursive') === 'true'
  const entries = files.filter(([path]) => recursive || !path.includes('/')).map(([path, content]) => ({
    type: 'file', path, size: content.length, oid: content.length >= lfsBytes ? createHash('sha1').update(path).digest('hex') : oidOf(content),
    ...(content.length >= lfsBytes ? { lfs: { oid: oidOf(content), size: content.length, pointerSize: 130 } } : {}),
  }))
  const page = Number(url.searchParams.get('page') ?? 0)
  const size = 50
  if ((page + 1) * size < entries.length) {
    const next = new URL(url)
    next.searchParams.set('page', String(page + 1))
    answer.setHeader('link', `<${next.href}>; rel="next"`)
  }
  answer.end(JSON.stringify([{ type: 'directory', path: 'folder', oid: '0'.repeat(40), size: 0 }, ...entries.slice(page * size, (page + 1) * size)]))
}

async function sendFile(incoming: http.IncomingMessage, answer: http.ServerResponse, file: Buffer, fault: Fault | undefined, headers: Record<string, string>): Promise<void> {
  const kind = fault ?? ({} as Partial<Record<string, never>>)
  const wanted = /^bytes=(\d+)-(\d*)$/.exec(incoming.headers.range ?? '')
  const ranged = wanted !== null && !('noRange' in kind)
  const shift = 'wrongRange' in kind ? 1 : 0
  const start = ranged ? Number(wanted[1]) + shift : 0
  const end = ranged && wanted[2] !== '' ? Math.min(Number(wanted[2]) + shift + 1, file.length) : file.length
  if (ranged && start >= file.length) return void answer.writeHead(416, { 'content-range': `bytes */${file.length}` }).end()
  let body = file.subarray(start, end)
  if ('corrupt' in kind) body = Buffer.from(body.map((byte) => byte ^ 1))
  if ('excess' in kind) body = Buffer.concat([body, Buffer.alloc(100)])
  const etag = 'etag' in kind ? String(kind.etag) : headers['x-linked-etag']
  const cut = 'reset' in kind ? Number(kind.reset) : 'stall' in kind ? Number(kind.stall) : 'truncate' in kind ? Number(kind.truncate) : -1
  const length = 'truncate' in kind ? Math.min(cut, body.length) : body.length
  answer.writeHead(ranged ? 206 : 200, { ...headers, etag: etag ?? '', 'accept-ranges': 'bytes', 'content-length': String(length), ...(ranged ? { 'content-range': `bytes ${start}-${end - 1}/${file.length}` } : {}) })
  if (incoming.method === 'HEAD') return void answer.end()
  if (cut < 0 || 'truncate' in kind) return void answer.end(body.subarray(0, length))
  await new Promise<void>((resolve) => answer.write(body.subarray(0, cut), () => resolve()))
  if ('reset' in kind) setTimeout(() => incoming.socket.destroy(), 20)
}
