// The worker process that templates run in: they come with models, and may loop or fill memory. First come its
// settings, then conversations.
import { Worker } from 'node:worker_threads'
import type { ChatJob, WorkerReply, WorkerSettings } from './chat.js'
import { freezeClock } from './clock.js'
import { replaceTrim } from './python-strings.js'
import { ConversationRenderer } from './render.js'

const reply = (message: WorkerReply): void => void process.send?.(message)
let renderer: ConversationRenderer | null = null

process.on('message', (text: string) => {
  const request = JSON.parse(text) as WorkerSettings | ChatJob[]
  if (!Array.isArray(request)) open(request)
  else request.forEach((job, index) => reply({ kind: 'result', index, result: (renderer as ConversationRenderer).render(job) }))
})
process.on('disconnect', () => process.exit())
// A template that loops leaves no time to see that the parent is gone, which is killed now and then: a thread has.
new Worker(`const parent = process.ppid; setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL') }, 500)`, { eval: true }).unref()

function open(settings: WorkerSettings): void {
  freezeClock(settings.now)
  replaceTrim()
  try {
    renderer = new ConversationRenderer(settings)
    reply({ kind: 'ready' })
  } catch (error) {
    reply({ kind: 'broken', reason: error instanceof Error ? error.message : String(error) })
  }
}
