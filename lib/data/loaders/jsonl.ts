// JSONL: one JSON object a line (https://jsonlines.org). Memory is that of the longest line.
import type { LoadedRow } from '../types.js'
import type { DatasetLoader, LoadOptions } from './registry.js'
import { parseRow } from './parse-row.js'
import { readChunks } from './read.js'

/** Longer lines are bad rows: V8 cannot hold a text of 512 MiB, and no tokenizer wants one. */
export const maxLineBytes = 1 << 28

export const jsonlLoader: DatasetLoader = {
  name: 'jsonl',
  extensions: ['.jsonl', '.ndjson'],
  recognises: (head) => /^\s*\{/.test(Buffer.from(head).toString('latin1')),
  load,
}

async function* load(file: string, options: LoadOptions = {}): AsyncGenerator<LoadedRow> {
  let line = 1
  for await (const raw of readLines(file, options)) {
    const start = { file, line: line++, column: 1 }
    if (raw === 'too long') yield { place: start, problem: `the line is longer than ${maxLineBytes >> 20} MiB` }
    else if (!isBlank(raw)) yield parseRow(raw, start)
  }
}

/** Lines without their end; a last line needs none. */
async function* readLines(file: string, options: LoadOptions): AsyncGenerator<Buffer | 'too long'> {
  let parts: Buffer[] = []
  let size = 0
  const finish = (end: Buffer): Buffer | 'too long' => {
    const tooLong = size + end.length > maxLineBytes
    const bytes = tooLong ? null : parts.length === 0 ? end : Buffer.concat([...parts, end])
    parts = []
    size = 0
    return bytes === null ? 'too long' : withoutReturn(bytes)
  }
  for await (const chunk of readChunks(file, options)) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield finish(chunk.subarray(start, end))
      start = end + 1
    }
    const rest = chunk.subarray(start)
    size += rest.length
    // A line over the limit is not kept, only measured.
    if (size > maxLineBytes) parts = []
    else if (rest.length > 0) parts.push(rest)
  }
  if (size > 0) yield finish(Buffer.alloc(0))
}

function withoutReturn(line: Buffer): Buffer {
  return line[line.length - 1] === 13 ? line.subarray(0, -1) : line
}

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (byte !== 32 && byte !== 9 && byte !== 13) return false
  return true
}
