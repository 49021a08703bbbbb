// Requests to a hub: with the token for its own host alone, redirects followed by hand, time limits, typed errors, and retries
// of what may pass (connection faults, 408, 429, 5xx). Nothing of a request's headers is ever part of a message.
import { setTimeout as sleep } from 'node:timers/promises'
import { fail, FineTuneError, makeError } from '../core/errors/index.js'
import type { HubSettings } from './settings.js'

/** A failure that may pass: it is tried again. */
export class Passing extends Error {
  constructor(
    message: string,
    /** Milliseconds that the server asked to wait. */
    readonly after?: number,
    override readonly cause?: unknown,
    /** There was no answer at all. */
    readonly unreached = false,
  ) {
    super(message)
  }
}

const mostRedirects = 8
const mostPause = 20_000
/** A server that asks for more is not waited for. */
const longestWait = 120_000

/** Does the work until it succeeds, fails for good, or the tries are used up. Errors: FT_HUB. */
export async function withRetries<T>({ tries, unreachedTries, pause }: Pick<HubSettings, 'tries' | 'unreachedTries' | 'pause'>, what: string, work: (attempt: number) => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      throwIfAborted(signal, what)
      return await work(attempt)
    } catch (error) {
      if (signal?.aborted) throwIfAborted(signal, what)
      if (!(error instanceof Passing)) throw error
      const wait = error.after ?? Math.min(mostPause, pause * 2 ** (attempt - 1) * (1 + Math.random() / 4))
      if (attempt >= (error.unreached ? unreachedTries : tries) || wait > longestWait) {
        throw makeError('FT_HUB', `${what}: ${error.message}${attempt > 1 ? `, after ${attempt} tries` : ''}`, {
          remedy: error.after !== undefined && wait > longestWait ? `the hub asks to wait ${Math.ceil(wait / 1000)} s: try again then` : 'check the network, then try again: what was downloaded is kept',
          cause: error.cause,
        })
      }
      await sleep(wait, undefined, { signal }).catch(() => undefined)
    }
  }
}

function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) fail('FT_CANCELLED', `${what} was cancelled`)
}

export interface RequestOptions {
  method?: 'GET' | 'HEAD'
  headers?: Readonly<Record<string, string>>
  signal?: AbortSignal
}

/** One answer with status 200 or 206. Its body must be read through readBody, or cancelled. Errors: Passing, FT_HUB_AUTH, FT_HUB_NOT_FOUND, FT_HUB. */
export async function request(settings: HubSettings, url: string, { method = 'GET', headers = {}, signal }: RequestOptions = {}): Promise<Response> {
  if (settings.offline) fail('FT_HUB', `${nameOf(url)} is not in the cache, and HF_HUB_OFFLINE forbids to ask the hub`, { remedy: `unset HF_HUB_OFFLINE; looked in ${settings.cacheDir}` })
  const home = new URL(settings.endpoint).origin
  let target = new URL(url)
  for (let hop = 0; hop <= mostRedirects; hop++) {
    const authorized: Record<string, string> = target.origin === home && settings.token !== undefined ? { authorization: `Bearer ${settings.token}` } : {}
    const response = await answer(target, settings, { method, headers: { 'user-agent': 'ft-native', ...headers, ...authorized }, signal })
    const location = response.headers.get('location')
    if (response.status < 300 || response.status >= 400 || location === null) return await checked(response, url)
    await response.body?.cancel()
    target = redirected(location, target)
  }
  return fail('FT_HUB', `${nameOf(url)} redirects without end`, { remedy: 'check HF_ENDPOINT' })
}

function redirected(location: string, from: URL): URL {
  const target = URL.canParse(location, from.href) ? new URL(location, from) : null
  const allowed = target !== null && (target.protocol === 'https:' || (target.protocol === 'http:' && from.protocol === 'http:'))
  return allowed ? target : fail('FT_HUB', `${nameOf(from.href)} redirects to an address that is not followed`, { remedy: 'check HF_ENDPOINT' })
}

async function answer(url: URL, settings: HubSettings, init: RequestInit & { signal?: AbortSignal }): Promise<Response> {
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), settings.answerTimeout)
  const signal = init.signal === undefined ? limit.signal : AbortSignal.any([limit.signal, init.signal])
  try {
    return await fetch(url, { ...init, redirect: 'manual', signal })
  } catch (error) {
    if (init.signal?.aborted) throw error
    throw limit.signal.aborted ? new Passing(`${url.host} does not answer`, undefined, error, true) : connectionFault(url, error)
  } finally {
    clearTimeout(timer)
  }
}

function connectionFault(url: URL, error: unknown): Error {
  const cause: unknown = error instanceof Error ? error.cause : undefined
  const code: unknown = cause instanceof Error ? Reflect.get(cause, 'code') : undefined
  if (code === 'ENOTFOUND') {
    return makeError('FT_HUB', `there is no host ${url.hostname}, or no network`, { remedy: 'check the network and HF_ENDPOINT; with HF_HUB_OFFLINE=1 only what is in the cache is used', details: { host: url.hostname }, cause: error })
  }
  return new Passing(`no connection to ${url.host}${typeof code === 'string' ? ` (${code})` : ''}`, undefined, error, true)
}

/** What is asked for, without what may be secret in it. */
function nameOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${decodeURIComponent(pathname)}`
}

async function checked(response: Response, url: string): Promise<Response> {
  const { status, headers } = response
  if (status === 200 || status === 206) return response
  await response.body?.cancel()
  const what = nameOf(url)
  const code = headers.get('x-error-code') ?? ''
  if (status === 408 || status === 429 || status >= 500) throw new Passing(`${what} answers ${status}`, retryAfter(headers.get('retry-after')))
  if (status === 404 || code === 'RepoNotFound' || code === 'EntryNotFound' || code === 'RevisionNotFound') {
    const missing = code === 'RevisionNotFound' ? 'there is no such revision' : code === 'EntryNotFound' ? 'there is no such file' : 'it is not there, or private'
    throw makeError('FT_HUB_NOT_FOUND', `${what}: ${missing}`, { remedy: 'check the name and the revision; a private repository needs HF_TOKEN', details: { status, code } })
  }
  if (status === 401 || status === 403) {
    const gated = code === 'GatedRepo' || status === 403
    throw makeError('FT_HUB_AUTH', `${what}: ${gated ? 'access is not granted' : 'a token is needed, or the one given is not valid'}`, {
      remedy: gated ? 'accept the conditions on its page, and set HF_TOKEN to a token of that account with read access' : 'set HF_TOKEN to a token with read access', details: { status, code },
    })
  }
  if (status === 416) throw new Passing(`${what}: the range is not there`)
  return fail('FT_HUB', `${what} answers ${status}`, { remedy: 'check HF_ENDPOINT, and try again', details: { status } })
}

/** Seconds, or a date. */
export function retryAfter(text: string | null): number | undefined {
  if (text === null || text.trim() === '') return undefined
  const seconds = Number(text)
  const milliseconds = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(text) - Date.now()
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined
}

/** The pieces of an answer. Errors: Passing where the connection breaks or nothing comes. */
export async function* readBody(response: Response, settings: Pick<HubSettings, 'stallTimeout'>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  if (response.body === null) return
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const { host } = new URL(response.url)
  try {
    for (;;) {
      const next = await withLimit(reader.read(), settings.stallTimeout, host)
      if (signal?.aborted) return
      if (next.done) return
      yield next.value
    }
  } catch (error) {
    throw error instanceof Passing || error instanceof FineTuneError ? error : new Passing(`the connection to ${host} broke off`, undefined, error)
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

async function withLimit<T>(work: Promise<T>, milliseconds: number, host: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Passing(`${host} sends nothing any more`)), milliseconds)
  })
  try {
    return await Promise.race([work, limit])
  } finally {
    clearTimeout(timer)
  }
}

/** A whole small answer. */
export async function readAll(response: Response, settings: Pick<HubSettings, 'stallTimeout'>, most: number, signal?: AbortSignal): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of readBody(response, settings, signal)) {
    size += part.length
    if (size > most) fail('FT_HUB', `${nameOf(response.url)} answers with more than ${most} bytes`, { remedy: 'check HF_ENDPOINT' })
    parts.push(part)
  }
  return Buffer.concat(parts)
}

/** `fetch` for a library: retried, with the token where it belongs, an answer of 200 with its body read. */
export function hubFetch(settings: HubSettings, what: string, signal?: AbortSignal): typeof fetch {
  return async (input) => {
    const url = typeof input === 'string' ? input : input instanceof URL ? input.href : input.url
    return await withRetries(settings, what, async () => {
      const response = await request(settings, url, { signal })
      const body = await readAll(response, settings, 1 << 28, signal)
      return new Response(new Uint8Array(body), { status: 200, headers: response.headers })
    }, signal)
  }
}
