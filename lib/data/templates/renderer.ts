// Renders conversations in a worker process with limits on time, memory and output. A template that breaks one ends
// its worker, never this process: of a thread that cannot be said, because V8 aborts the whole process when a thread
// asks for much more memory at once than its limit.
import { fork, type ChildProcess } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
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

/** How V8 ends a process without memory. */
const outOfMemory = new Set(['SIGABRT', 'SIGTRAP', 'SIGILL'])

const fromSource = import.meta.url.endsWith('.ts')

/** From dist/ the worker is JavaScript. From lib/ it is TypeScript, and needs the loader that this file itself came through. */
function workerFile(): { file: string; loader: string[] } {
  if (!fromSource) return { file: fileURLToPath(new URL('./worker.js', import.meta.url)), loader: [] }
  const loader = createRequire(import.meta.url).resolve('tsx/package.json').replace('package.json', 'dist/esm/index.mjs')
  return { file: fileURLToPath(new URL('./worker.ts', import.meta.url)), loader: ['--import', pathToFileURL(loader).href] }
}

/** In a session of its own, so that Ctrl-C at a terminal is this process's to answer; of the environment it gets what dates depend on. */
function startWorker(megabytes: number): ChildProcess {
  const { file, loader } = workerFile()
  const env = Object.fromEntries(['TZ', 'TZDIR'].flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])))
  const limits = [`--max-old-space-size=${megabytes}`, '--max-semi-space-size=16', '--stack-size=3900']
  const worker = fork(file, [], { execArgv: [...limits, ...loader], env, detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  // What becomes of an idle worker is found out by the next call.
  worker.on('error', () => undefined)
  // An idle worker does not keep this process alive; the timer of a call does.
  worker.unref()
  worker.channel?.unref()
  return worker
}

/** Resolves when the process is gone. */
async function endWorker(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null || worker.pid === undefined) return
  await new Promise<void>((resolve) => {
    worker.ref()
    worker.once('exit', () => resolve())
    worker.kill('SIGKILL')
  })
}

export class ChatRenderer {
  readonly #settings: WorkerSettings
  readonly #limits: RenderLimits
  #worker: Promise<ChildProcess> | null = null
  #disposed = false
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

  /** What waits to be rendered fails. */
  async dispose(): Promise<void> {
    this.#disposed = true
    const worker = this.#worker
    this.#worker = null
    const started = await worker?.catch(() => null)
    if (started) await endWorker(started)
  }

  async #render(jobs: readonly ChatJob[]): Promise<ChatResult[]> {
    if (jobs.length === 0) return []
    if (this.#disposed) fail('FT_HANDLE_DISPOSED', 'the template renderer was disposed', { remedy: 'make another one' })
    this.#worker ??= this.#start()
    const worker = await this.#worker.catch((error: unknown) => {
      this.#worker = null
      throw error
    })
    try {
      return await this.#exchange(worker, jobs)
    } catch (error) {
      this.#worker = null
      await endWorker(worker)
      throw error
    }
  }

  async #start(): Promise<ChildProcess> {
    const worker = startWorker(this.#limits.megabytes)
    try {
      return await exchange(worker, this.#settings, startMilliseconds, (message, finish) => {
        if (message.kind === 'ready') finish(worker)
        if (message.kind === 'broken') {
          fail('FT_TEMPLATE', `the chat template cannot be read: ${message.reason.slice(0, 300)}`, { remedy: 'correct the template, or name another with --chat-template' })
        }
      }, (reason) => `the chat template did not start: ${reason}`)
    } catch (error) {
      await endWorker(worker)
      throw error
    }
  }

  #exchange(worker: ChildProcess, jobs: readonly ChatJob[]): Promise<ChatResult[]> {
    const results: ChatResult[] = []
    const { milliseconds, megabytes } = this.#limits
    return exchange<ChatResult[]>(worker, jobs, milliseconds, (message, finish) => {
      if (message.kind !== 'result') return
      results[message.index] = message.result
      if (results.length === jobs.length) finish(results)
    }, (reason) => (reason === 'memory'
      ? `the chat template needs more than ${megabytes} MB for one conversation`
      : reason === 'time' ? `the chat template takes more than ${milliseconds / 1000} s for one conversation` : `the chat template failed: ${reason}`), () => ({ job: results.length }))
  }
}

/** Sends and waits for messages; each one starts the time limit anew. `explain` words a failure: 'time', 'memory' or a message. */
function exchange<T>(
  worker: ChildProcess,
  request: WorkerSettings | readonly ChatJob[],
  milliseconds: number,
  take: (message: WorkerReply, finish: (value: T) => void) => void,
  explain: (reason: string) => string,
  details: () => Record<string, unknown> = () => ({}),
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
      worker.channel?.unref()
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
    const onMessage = (message: unknown): void => {
      clearTimeout(timer)
      timer = setTimeout(onTime, milliseconds)
      try {
        take(message as WorkerReply, finish)
      } catch (error) {
        stop()
        reject(error)
      }
    }
    const onError = (error: Error): void => failWith(error.message, error)
    const onExit = (_code: number | null, signal: string | null): void => failWith(outOfMemory.has(signal ?? '') ? 'memory' : `its process ended${signal === null ? '' : ` (${signal})`}`)
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
    if (worker.exitCode !== null || worker.signalCode !== null) return onExit(worker.exitCode, worker.signalCode)
    worker.channel?.ref()
    worker.send(JSON.stringify(request), (error) => {
      if (error !== null && worker.connected) failWith(error.message, error)
    })
  })
}
