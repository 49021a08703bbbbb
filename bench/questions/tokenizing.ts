// Much text through the data pipeline, against the Python tokenizers package with the same tokenizer: bytes a second, how
// long the event loop was kept waiting, memory.
import fs from 'node:fs'
import path from 'node:path'
import { childCommand, jsonLines, referenceCommand, repository } from '../programs.js'
import type { Question } from '../question.js'
import { gigabytes, markdownTable } from '../table.js'
import { textFile } from '../text-file.js'

const MODEL = path.join(repository, 'examples', 'demo', 'model')
const MEGABYTES = { quick: 20, all: 60, full: 200 } as const

interface Side { seconds: number; tokens: number; rows: number; peakRssBytes: number; eventLoopMs?: { p99: number; max: number } }

export const tokenizing: Question = {
  name: 'tokenizing',
  asks: 'megabytes of text a second against the Python tokenizers package, with the event loop free',
  async ask(settings, say) {
    const megabytes = MEGABYTES[settings.depth]
    const file = textFile(settings.cache, megabytes)
    const bytes = fs.statSync(file).size
    const native = side(await jsonLines(childCommand('tokenize', ['--model', MODEL, '--data', file])))
    say(`  ft-native ${(bytes / native.seconds / 1e6).toFixed(2)} MB/s`)
    const python = settings.python === null ? null
      : side(await jsonLines({ ...referenceCommand(settings.python, ['tokenize', '--model', MODEL, '--data', file]), env: { TOKENIZERS_PARALLELISM: 'true' } }))
    const line = (name: string, { seconds, tokens, peakRssBytes, eventLoopMs }: Side): string[] => [
      name, `${(bytes / seconds / 1e6).toFixed(2)}`, tokens.toLocaleString('en-US'), gigabytes(peakRssBytes), eventLoopMs === undefined ? '' : `${eventLoopMs.p99.toFixed(0)} ms, at most ${eventLoopMs.max.toFixed(0)} ms`,
    ]
    const rows = [line('ft-native', native), ...(python === null ? [] : [line('Python tokenizers', python), ['ratio', `${(python.seconds / native.seconds).toFixed(2)} ×`, '', '', '']])]
    // Every row of ours ends with an end-of-sequence token.
    const differ = python !== null && native.tokens - native.rows !== python.tokens
    return {
      result: { megabytes: bytes / 1e6, native, python },
      table: [markdownTable(['program', 'MB/s', 'tokens', 'peak memory', 'event loop late (99 %)'], rows), '', `${(bytes / 1e6).toFixed(0)} MB of JSONL, ${native.rows} rows, the demo model's tokenizer (2,048 pieces). ft-native keeps ids and labels, Python ids; ft-native's rows end with one token more.`].join('\n'),
      ...(differ ? { objection: `the token counts differ: ${native.tokens - native.rows} and ${python.tokens}` } : {}),
    }
  },
}

function side(events: Record<string, unknown>[]): Side {
  const end = events.find((event) => event.event === 'end')
  if (end === undefined) throw new Error('tokenizing: no end event')
  const shared = { seconds: Number(end.seconds), tokens: Number(end.tokens), rows: Number(end.rows), peakRssBytes: Number(end.peak_rss_bytes) }
  return end.event_loop_ms === undefined ? shared : { ...shared, eventLoopMs: end.event_loop_ms as { p99: number; max: number } }
}
