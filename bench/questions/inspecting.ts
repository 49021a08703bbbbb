// Columns of unknown data found, and statistics of all rows: seconds, processor time and memory. The promise is a million rows
// in under 20 seconds. A tenth of the rows are copies, which must be counted.
import fs from 'node:fs'
import path from 'node:path'
import { generator } from '../inputs.js'
import { childCommand, jsonLines } from '../programs.js'
import type { Question } from '../question.js'
import { gigabytes, markdownTable } from '../table.js'

const ROWS = { quick: 100_000, all: 1_000_000, full: 1_000_000 } as const
const copies = 10

export const inspecting: Question = {
  name: 'inspecting',
  asks: 'seconds for the columns and statistics of a million rows',
  async ask(settings, say) {
    const rows = ROWS[settings.depth]
    const file = rowsFile(settings.cache, rows)
    const bytes = fs.statSync(file).size
    const end = (await jsonLines(childCommand('inspect-data', ['--data', file]))).find((event) => event.event === 'end')
    if (end === undefined) throw new Error('inspecting: no end event')
    const [seconds, cpu, memory] = [Number(end.seconds), Number(end.cpu_seconds), Number(end.peak_rss_bytes)]
    say(`  ${rows.toLocaleString('en-US')} rows in ${seconds.toFixed(1)} s`)
    const told = Number(end.duplicates) === rows / copies && Number(end.columns) === 2 && Number(end.rows) === rows
    return {
      result: { rows, megabytes: bytes / 1e6, seconds, cpu_seconds: cpu, peak_rss_bytes: memory },
      table: [
        markdownTable(['rows', 'MB', 'seconds', 'processor seconds', 'rows/s', 'peak memory'], [
          [rows.toLocaleString('en-US'), (bytes / 1e6).toFixed(0), seconds.toFixed(1), cpu.toFixed(1), Math.round(rows / seconds).toLocaleString('en-US'), gigabytes(memory)],
        ]),
        '', 'JSONL with the columns id, question, answer and source, without a tokenizer; one row in ten is a copy.',
      ].join('\n'),
      ...(told ? {} : { objection: `found ${Number(end.rows)} rows, ${Number(end.columns)} columns and ${Number(end.duplicates)} copies, expected ${rows}, 2 and ${rows / copies}` }),
    }
  },
}

/** Questions of some hundred characters with answers of some three hundred. Made once. */
function rowsFile(cache: string, rows: number): string {
  const file = path.join(cache, `questions-${rows}.jsonl`)
  if (fs.existsSync(file)) return file
  const random = generator(17)
  const words = Array.from({ length: 5000 }, (_, i) => (i * 7919).toString(36))
  const text = (count: number): string => Array.from({ length: count }, () => words[Math.floor(random() * words.length)]).join(' ')
  const fd = fs.openSync(`${file}.part`, 'w')
  let before = { question: '', answer: '' }
  for (let start = 0; start < rows; start += 1000) {
    let block = ''
    for (let id = start; id < start + 1000; id++) {
      if (id % copies !== copies - 1) before = { question: text(8 + Math.floor(random() * 20)), answer: text(10 + Math.floor(random() * 80)) }
      block += `${JSON.stringify({ id, ...before, source: 'made' })}\n`
    }
    fs.writeSync(fd, block)
  }
  fs.closeSync(fd)
  fs.renameSync(`${file}.part`, file)
  return file
}
