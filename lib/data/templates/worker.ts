// The worker thread that templates run in: they come with models, and may loop or fill memory.
import { parentPort, workerData } from 'node:worker_threads'
import type { ChatJob, WorkerReply, WorkerSettings } from './chat.js'
import { replaceTrim } from './python-strings.js'
import { ConversationRenderer } from './render.js'

const settings = workerData as WorkerSettings
const reply = (message: WorkerReply): void => parentPort?.postMessage(message)

freezeClock(settings.now)
replaceTrim()
const renderer = open()
if (renderer !== null) {
  parentPort?.on('message', (jobs: string) => {
    ;(JSON.parse(jobs) as ChatJob[]).forEach((job, index) => reply({ kind: 'result', index, result: renderer.render(job) }))
  })
  reply({ kind: 'ready' })
}

function open(): ConversationRenderer | null {
  try {
    return new ConversationRenderer(settings)
  } catch (error) {
    reply({ kind: 'broken', reason: error instanceof Error ? error.message : String(error) })
    return null
  }
}

/** strftime_now of the Jinja library asks the clock and the locale of this thread: both are the same on every day and machine. */
function freezeClock(now: number): void {
  const RealDate = Date
  const RealFormat = Intl.DateTimeFormat
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: []) => (args.length === 0 ? new target(now) : new target(...args)),
    get: (target, name) => (name === 'now' ? () => now : (Reflect.get(target, name) as unknown)),
  })
  Intl.DateTimeFormat = new Proxy(RealFormat, {
    construct: (target, [locale, options]: [string | undefined, Intl.DateTimeFormatOptions]) => new target(locale ?? 'en-US', options),
  })
}
