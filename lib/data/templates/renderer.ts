// Renders conversations in a worker thread with limits on time, memory and output. A template that breaks one
// ends its worker, never the process.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { fail, makeError } from '../../core/errors/index.js'
import type { ChatJob, ChatResult, WorkerReply, WorkerSettings } from './chat.js'

export interface RendererOptions {
  template: string
  toolTemplate?: string | null
  variables?: Readonly<Record<string, string>>
  controlTokens?: readonly string[]
  /** What strftime_now calls now. Default: when the renderer is made. */
  now?: Date
  limits?: Partial<RenderLimits>
}

export interface RenderLimits {
  /** For one conversation. */
  milliseconds: number
  /** Of one rendered conversation. */
  characters: number
  /** Heap of the worker. */
  megabytes: number
}

const defaultLimits: RenderLimits = { milliseconds: 5000, characters: 1 << 24, megabytes: 192 }
/** Starting a worker takes some 50 ms; a busy machine may need long. */
const startMilliseconds = 120_000

const fromSource = import.meta.url.endsWith('.ts')

/** From dist/ the worker is JavaScript. From lib/ it is TypeScript: a line of JavaScript brings the loader that this file itself came through. */
function workerEntry(): URL | string {
  if (!fromSource) return new URL('./worker.js', import.meta.url)
  const loader = createRequire(import.meta.url).resolve('tsx/package.json').replace('package.json', 'dist/esm/api/index.mjs')
  const [api, entry] = [pathToFileURL(loader).href, new URL('./worker.ts', import.meta.url).href].map((url) => JSON.stringify(url))
  return `import(${api}).then((tsx) => { tsx.register(); return import(${entry}) })`
}

export class ChatRenderer {
  readonly #settings: WorkerSettings
  readonly #limits: RenderLimits
  #worker: Promise<Worker> | null = null
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: RendererOptions) {
    this.#limits = { ...defaultLimits, ...options.limits }
    this.#settings = {
      template: options.template,
      toolTemplate: options.toolTemplate ?? null,
      variables: { ...options.variables },
      controlTokens: [...(options.controlTokens ?? [])],
      now: (options.now ?? new Date()).getTime(),
      maxCharacters: this.#limits.characters,
    }
  }

  /** One result a job, in order. Errors: FT_TEMPLATE when the template cannot be read or breaks a limit; details.job says which. */
  render(jobs: readonly ChatJob[]): Promise<ChatResult[]> {
    const work = this.#last.then(() => this.#render(jobs))
    this.#last = work.catch(() => undefined)
    return work
  }

  async dispose(): Promise<void> {
    const worker = this.#worker
    this.#worker = null
    await (await worker?.catch(() => null))?.terminate()
  }

  async #render(jobs: readonly ChatJob[]): Promise<ChatResult[]> {
    if (jobs.length === 0) return []
    this.#worker ??= this.#start()
    const worker = await this.#worker.catch((error: unknown) => {
      this.#worker = null
      throw error
    })
    try {
      return await this.#exchange(worker, jobs)
    } catch (error) {
      this.#worker = null
      await worker.terminate()
      throw error
    }
  }

  #start(): Promise<Worker> {
    const limits = { maxOldGenerationSizeMb: this.#limits.megabytes, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 }
    const worker = new Worker(workerEntry(), { eval: fromSource, workerData: this.#settings, execArgv: [], resourceLimits: limits })
    // An idle worker does not keep the process alive; the timer of a call does.
    worker.unref()
    return listen(worker, startMilliseconds, (message, finish) => {
      if (message.kind === 'ready') finish(worker)
      if (message.kind === 'broken') {
        fail('FT_TEMPLATE', `the chat template cannot be read: ${message.reason.slice(0, 300)}`, { remedy: 'correct the template, or name another with --chat-template' })
      }
    }, () => 'the chat template did not start')
  }

  #exchange(worker: Worker, jobs: readonly ChatJob[]): Promise<ChatResult[]> {
    const results: ChatResult[] = []
    const { milliseconds, megabytes } = this.#limits
    const answer = listen<ChatResult[]>(worker, milliseconds, (message, finish) => {
      if (message.kind !== 'result') return
      results[message.index] = message.result
      if (results.length === jobs.length) finish(results)
    }, (reason) => (reason === 'memory'
      ? `the chat template needs more than ${megabytes} MB for one conversation`
      : reason === 'time' ? `the chat template takes more than ${milliseconds / 1000} s for one conversation` : `the chat template failed: ${reason}`), () => ({ job: results.length }))
    worker.postMessage(JSON.stringify(jobs))
    return answer
  }
}

/** Waits for messages; each one starts the time limit anew. `explain` words a failure: 'time', 'memory' or a message. */
function listen<T>(
  worker: Worker,
  milliseconds: number,
  take: (message: WorkerReply, finish: (value: T) => void) => void,
  explain: (reason: string) => string,
  details: () => Record<string, unknown> = () => ({}),
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
    }
    const finish = (value: T): void => {
      stop()
      resolve(value)
    }
    const failWith = (reason: string, cause?: unknown): void => {
      stop()
      const remedy = 'use a template from a source you trust, or name another with --chat-template'
      reject(makeError('FT_TEMPLATE', explain(reason), { remedy, details: details(), cause }))
    }
    const onTime = (): void => failWith('time')
    let timer = setTimeout(onTime, milliseconds)
    const onMessage = (message: WorkerReply): void => {
      clearTimeout(timer)
      timer = setTimeout(onTime, milliseconds)
      try {
        take(message, finish)
      } catch (error) {
        stop()
        reject(error)
      }
    }
    const onError = (error: Error): void => failWith(Reflect.get(error, 'code') === 'ERR_WORKER_OUT_OF_MEMORY' ? 'memory' : error.message, error)
    const onExit = (): void => failWith('its thread ended')
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
  })
}
