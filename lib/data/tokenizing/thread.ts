// A tokenizing thread: its own tokenizer, its own template process, batches in, ids and labels out (moved, not copied).
import { parentPort, workerData } from 'node:worker_threads'
import { FineTuneError } from '../../core/errors/index.js'
import { RowEncoder, type EncodeResult } from '../encode.js'
import type { SourceRow } from '../rows.js'
import { openRenderer } from '../templates/choose.js'
import type { ChatRenderer } from '../templates/renderer.js'
import { loadTokenizer } from '../tokenizer/index.js'
import type { PlainError, PoolReply, PoolRequest, PoolSettings } from './messages.js'

const settings = workerData as PoolSettings
const port = parentPort
let renderer: ChatRenderer | null = null
let opened: Promise<RowEncoder> | null = null

async function open(): Promise<RowEncoder> {
  const tokenizer = await loadTokenizer(settings.folder)
  renderer = settings.template === null ? null : openRenderer(tokenizer, settings.template, new Date(settings.now))
  return new RowEncoder({ tokenizer, renderer, trainOn: settings.trainOn, endOfTurn: settings.endOfTurn, vocabSize: settings.vocabSize })
}

function reply(message: PoolReply, moved: ArrayBuffer[] = []): void {
  port?.postMessage(message, moved)
}

/** Two batches may be under way: one is rendered or tokenized by others while this thread goes through the other. */
port?.on('message', (request: PoolRequest) => {
  if (request.kind === 'end') {
    void (renderer?.dispose() ?? Promise.resolve()).then(() => {
      reply({ kind: 'ended' })
      port.close()
    })
    return
  }
  const { id, rows } = request
  opened ??= open()
  opened
    .then((encoder) => encoder.encode(rows as SourceRow[]))
    .then((results) => reply({ kind: 'done', id, results }, buffersOf(results)))
    .catch((error: unknown) => reply({ kind: 'failed', id, error: plainError(error) }))
})

/** Each array alone in its buffer: the buffer of a part would take its neighbours along. */
function buffersOf(results: readonly EncodeResult[]): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>()
  for (const result of results) {
    if ('problem' in result) continue
    for (const which of ['inputIds', 'labels'] as const) {
      const array = result[which]
      const own = array.byteLength === array.buffer.byteLength && array.buffer instanceof ArrayBuffer && !buffers.has(array.buffer)
      if (!own) result[which] = array.slice()
      buffers.add(result[which].buffer as ArrayBuffer)
    }
  }
  return [...buffers]
}

function plainError(error: unknown): PlainError {
  if (error instanceof FineTuneError) return { code: error.code, message: error.message, remedy: error.remedy, details: { ...error.details } }
  return { code: undefined, message: error instanceof Error ? error.message : String(error), remedy: undefined, details: {} }
}
