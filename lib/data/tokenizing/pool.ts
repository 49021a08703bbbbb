// Batches of rows encoded by several threads, with the event loop of this one free. What comes out is what one encoder would give: each
// batch depends on itself alone.
import { createRequire } from 'node:module'
import os from 'node:os'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { makeError } from '../../core/errors/index.js'
import type { EncodeResult, RowsEncoder } from '../encode.js'
import type { SourceRow } from '../rows.js'
import type { PlainError, PoolReply, PoolRequest, PoolSettings } from './messages.js'

/** More threads wait for the one that reads. */
const mostThreads = 8

export function poolThreads(): number {
  return Math.max(1, Math.min(mostThreads, os.availableParallelism()))
}

interface Thread {
  worker: Worker
  /** Batches that it has. */
  waiting: Map<number, { resolve(results: EncodeResult[]): void; reject(error: Error): void }>
  ended: Promise<void>
}

export class EncodePool implements RowsEncoder {
  readonly inFlight: number
  readonly #settings: PoolSettings
  readonly #threads: Thread[] = []
  readonly #most: number
  #next = 0
  #failure: Error | null = null

  constructor(settings: PoolSettings, threads = poolThreads()) {
    this.#settings = settings
    this.#most = threads
    this.inFlight = 2 * threads + 1
  }

  /** Errors: those of RowEncoder, and FT_INTERNAL when a thread ended. */
  encode(rows: readonly SourceRow[]): Promise<EncodeResult[]> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const thread = this.#choose()
    const id = this.#next++
    const request: PoolRequest = { kind: 'encode', id, rows: rows.map(({ row, place }) => ({ row, place })) }
    return new Promise((resolve, reject) => {
      thread.waiting.set(id, { resolve, reject })
      thread.worker.postMessage(request)
    })
  }

  /** Every thread, and the processes they have, are gone afterwards. */
  async dispose(): Promise<void> {
    this.#failure ??= makeError('FT_INTERNAL', 'the tokenizing threads were ended', { remedy: 'make a new pool' })
    await Promise.all(this.#threads.splice(0).map(async ({ worker, ended }) => {
      worker.postMessage({ kind: 'end' } satisfies PoolRequest)
      await ended
      await worker.terminate()
    }))
  }

  /** A new thread until there are enough, then the one with the least to do. */
  #choose(): Thread {
    const idle = this.#threads.find(({ waiting }) => waiting.size === 0)
    if (idle !== undefined) return idle
    if (this.#threads.length < this.#most) {
      const thread = this.#start()
      this.#threads.push(thread)
      return thread
    }
    return this.#threads.reduce((least, thread) => (thread.waiting.size < least.waiting.size ? thread : least))
  }

  #start(): Thread {
    const worker = startThread(this.#settings)
    const waiting: Thread['waiting'] = new Map()
    const ended = new Promise<void>((resolve) => {
      worker.on('message', (message: PoolReply) => {
        if (message.kind === 'ended') return resolve()
        const job = waiting.get(message.id)
        waiting.delete(message.id)
        if (message.kind === 'done') job?.resolve(message.results)
        else job?.reject(errorOf(message.error))
      })
      const lost = (reason: string): void => {
        this.#failure ??= makeError('FT_INTERNAL', `a tokenizing thread ended: ${reason}`, { remedy: 'run again; with less memory in use, if that was short' })
        for (const job of waiting.values()) job.reject(this.#failure)
        waiting.clear()
        resolve()
      }
      worker.on('error', (error: Error) => lost(error.message))
      worker.on('exit', (code) => lost(`exit ${code}`))
    })
    return { worker, waiting, ended }
  }
}

function errorOf({ code, message, remedy, details }: PlainError): Error {
  return code === undefined ? new Error(message) : makeError(code, message, { remedy: remedy ?? '', details })
}

/** From dist/ the thread is JavaScript. From lib/ it is TypeScript, and registers the loader that this file itself came through. */
function startThread(workerData: PoolSettings): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./thread.js', import.meta.url), { workerData, execArgv: [] })
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx/package.json').replace('package.json', 'dist/esm/api/index.mjs')).href
  const file = new URL('./thread.ts', import.meta.url).href
  return new Worker(`import(${JSON.stringify(loader)}).then(({ register }) => { register(); return import(${JSON.stringify(file)}) })`, { eval: true, workerData, execArgv: [] })
}
