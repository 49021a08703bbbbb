// JSONL: one JSON object a line (https://jsonlines.org). Memory is that of the longest line.
import { isUtf8 } from 'node:buffer'
import type { LoadedRow } from '../types.js'
import { maxLineBytes, readBlocks, splitLines, startOf, type LineBlock } from './lines.js'
import { parseRow, parseText } from './parse-row.js'
import { openText } from './read.js'
import { recogniseJson } from './sniff-json.js'
import { defineLoader, type LoadOptions, type RowBatch } from './loader.js'

export const jsonlLoader = defineLoader({
  name: 'jsonl',
  extensions: ['.jsonl', '.ndjson'],
  recognises: (head, whole) => recogniseJson('jsonl', head, whole),
  batches,
})

async function* batches(file: string, options: LoadOptions = {}): AsyncGenerator<RowBatch> {
  const enter = options.from?.block
  const text = await openText(file, options, { start: enter?.byte })
  let row = enter?.row ?? 0
  for await (const block of readBlocks(text, enter?.line)) {
    const rows = rowsOf(block, options.source?.name ?? file)
    if (rows.length === 0) continue
    yield { rows, start: startOf(row, block) }
    row += rows.length
  }
}

function rowsOf(block: LineBlock, file: string): LoadedRow[] {
  const rows: LoadedRow[] = []
  if (block.tooLong === true) return [{ place: { file, line: block.line, column: 1 }, problem: `the line is longer than ${maxLineBytes >> 20} MiB` }]
  if (isUtf8(block.bytes)) {
    for (const [line, number] of splitLines(block.bytes.toString('utf8'))) {
      if (!isBlank(line)) rows.push(parseText(line, { file, line: block.line + number, column: 1 }))
    }
    return rows
  }
  // Line by line, so that only the lines at fault are lost.
  let start = 0
  for (let number = 0; start < block.bytes.length; number++) {
    const end = block.bytes.indexOf(10, start)
    const line = block.bytes.subarray(start, end < 0 ? undefined : end)
    start = end < 0 ? block.bytes.length : end + 1
    const text = line.toString('latin1')
    if (!isBlank(text)) rows.push(parseRow(text.endsWith('\r') ? line.subarray(0, -1) : line, { file, line: block.line + number, column: 1 }))
  }
  return rows
}

/** Of JSON's white space only. */
function isBlank(line: string): boolean {
  for (let i = 0; i < line.length; i++) {
    const code = line.charCodeAt(i)
    if (code !== 32 && code !== 9 && code !== 13) return false
  }
  return true
}
