// Much text to packed token ids, and the second run from the cache, against datasets + tokenizers + TRL's packing with two processes.
import fs from 'node:fs'
import path from 'node:path'
import { childCommand, jsonLines, referenceCommand, repository, type Command } from '../programs.js'
import type { Question } from '../question.js'
import { gigabytes, markdownTable } from '../table.js'
import { textFile } from '../text-file.js'

const MODEL = path.join(repository, 'examples', 'demo', 'model')
const MEGABYTES = { quick: 10, all: 60, full: 2000 } as const
const WINDOW = '1024'

interface Side { seconds: number; againSeconds: number; tokens: number; peakRssBytes: number; rows: number }

export const data: Question = {
  name: 'data',
  asks: 'seconds from JSONL to the first packed batch, and again from the cache, against datasets, tokenizers and TRL',
  async ask(settings, say) {
    const megabytes = MEGABYTES[settings.depth]
    const file = textFile(settings.cache, megabytes)
    const bytes = fs.statSync(file).size
    const native = await twice(settings.cache, 'native', (cache) => childCommand('prepare-data', ['--model', MODEL, '--data', file, '--cache', cache, '--window', WINDOW]))
    say(`  ft-native ${(bytes / native.seconds / 1e6).toFixed(1)} MB/s, again ${native.againSeconds.toFixed(2)} s`)
    const { python } = settings
    const reference = python === null ? null : await twice(settings.cache, 'python', (cache) => {
      const command = referenceCommand(python, ['prepare', '--model', MODEL, '--data', file, '--cache', cache, '--window', WINDOW, '--count'])
      return { ...command, env: { TOKENIZERS_PARALLELISM: 'false' } }
    })
    const line = (name: string, side: Side): string[] => [name, side.seconds.toFixed(2), (bytes / side.seconds / 1e6).toFixed(1), side.againSeconds.toFixed(2), gigabytes(side.peakRssBytes), side.tokens.toLocaleString('en-US')]
    const rows = [line('ft-native', native)]
    if (reference !== null) {
      rows.push(line('datasets + tokenizers + TRL', reference))
      rows.push(['ratio', `${(reference.seconds / native.seconds).toFixed(2)} ×`, '', `${(reference.againSeconds / native.againSeconds).toFixed(2)} ×`, `${(native.peakRssBytes / reference.peakRssBytes).toFixed(2)} ×`, ''])
    }
    // Their rows get the end-of-sequence token where ours do.
    const differ = reference !== null && reference.tokens !== native.tokens
    const note = `${(bytes / 1e6).toFixed(0)} MB of JSONL, ${native.rows} rows, the demo model's tokenizer, windows of ${WINDOW} tokens, best-fit decreasing on both sides. Memory of Python: its process and twice its largest child.`
    return {
      result: { megabytes: bytes / 1e6, native, python: reference },
      table: [markdownTable(['program', 'seconds', 'MB/s', 'again, from the cache', 'peak memory', 'tokens'], rows), '', note].join('\n'),
      ...(differ ? { objection: `the token counts differ: ${native.tokens} and ${reference.tokens}` } : {}),
    }
  },
}

/** With an empty cache, and once more. */
async function twice(folder: string, name: string, command: (cache: string) => Command): Promise<Side> {
  const cache = fs.mkdtempSync(path.join(folder, `data-${name}-`))
  try {
    const [first, again] = [await end(command(cache)), await end(command(cache))]
    return { seconds: Number(first.seconds), againSeconds: Number(again.seconds), tokens: Number(first.tokens), peakRssBytes: Number(first.peak_rss_bytes), rows: Number(first.rows) }
  } finally {
    fs.rmSync(cache, { recursive: true, force: true })
  }
}

async function end(command: Command): Promise<Record<string, unknown>> {
  const event = (await jsonLines(command)).find((one) => one.event === 'end')
  if (event === undefined) throw new Error('data: no end event')
  return event
}
