// Plain text as rows {text}: a row is a line, a paragraph (parted by blank lines) or the whole file, as dataset.sample_by says.
// Blank lines and paragraphs are no rows.
import { isUtf8 } from 'node:buffer'
import { decodeUtf8, findLoneSurrogate } from '../text.js'
import type { LoadedRow } from '../types.js'
import { maxLineBytes, readBlocks, splitLines, startOf } from './lines.js'
import { defineLoader, type LoadOptions, type RowBatch, type RowStart } from './loader.js'
import { openText, type TextStream } from './read.js'
import { recogniseText } from './sniff.js'

export const txtLoader = defineLoader({ name: 'txt', extensions: ['.txt', '.text'], recognises: recogniseText, catchAll: true, batches })

async function* batches(file: string, options: LoadOptions = {}): AsyncGenerator<RowBatch> {
  const byLine = (options.sampleBy ?? 'line') === 'line'
  const enter = byLine ? options.from?.block : undefined
  const text = await openText(file, options, { start: enter?.byte, guess: true })
  const name = options.source?.name ?? file
  if (byLine) yield* byLines(name, text, enter)
  else if (options.sampleBy === 'file') yield* wholeFile(name, text)
  else yield* byParagraph(name, text)
}

async function* byLines(file: string, text: TextStream, enter: RowStart['block']): AsyncGenerator<RowBatch> {
  let row = enter?.row ?? 0
  for await (const block of readBlocks(text, enter?.line)) {
    const rows: LoadedRow[] = []
    if (block.tooLong === true) rows.push(tooLong(file, block.line))
    const clean = isUtf8(block.bytes) && !block.bytes.includes(0)
    for (const [line, number] of splitLines(textOf(block.bytes))) {
      if (isBlank(line)) continue
      const at = block.line + number
      rows.push(clean ? { place: { file, line: at }, value: { text: line } } : rowOf(line, file, at))
    }
    if (rows.length === 0) continue
    yield { rows, start: startOf(row, block) }
    row += rows.length
  }
}

/** Most lines say so with their first character. */
function isBlank(line: string): boolean {
  return !(line.charCodeAt(0) > 32 && line.charCodeAt(0) < 127) && line.trim() === ''
}

/** A line that is not UTF-8 becomes half a surrogate pair, which rowOf then finds: one row is lost and not the block. */
const notUtf8 = '\ud800'

function textOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8')
  let text = ''
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(10, start) + 1 || bytes.length
    const line = decodeUtf8(bytes.subarray(start, end))
    text += typeof line === 'number' ? `${notUtf8}\n` : line
    start = end
  }
  return text
}

function rowOf(text: string, file: string, line: number): LoadedRow {
  const half = findLoneSurrogate(text)
  const fault = half >= 0 ? half : text.indexOf('\0')
  if (fault < 0) return { place: { file, line }, value: { text } }
  const before = text.slice(0, fault).split('\n')
  const place = { file, line: line + before.length - 1 }
  if (half >= 0) return { place, problem: 'the bytes are not UTF-8' }
  return { place: { ...place, column: (before[before.length - 1] as string).length + 1 }, problem: 'the text holds a NUL character' }
}

function tooLong(file: string, line: number): LoadedRow {
  return { place: { file, line, column: 1 }, problem: `the row is longer than ${maxLineBytes >> 20} MiB` }
}

async function* wholeFile(file: string, text: TextStream): AsyncGenerator<RowBatch> {
  const parts: Buffer[] = []
  let size = 0
  for await (const chunk of text.chunks) {
    size += chunk.length
    if (size > maxLineBytes) parts.length = 0
    else parts.push(chunk)
  }
  const whole = size > maxLineBytes ? '' : textOf(Buffer.concat(parts))
  const rows = size > maxLineBytes ? [tooLong(file, 1)] : whole.trim() === '' ? [] : [rowOf(whole, file, 1)]
  if (rows.length > 0) yield { rows, start: { row: 0 } }
}

/** Lines are gathered until a blank one, or the end. */
async function* byParagraph(file: string, text: TextStream): AsyncGenerator<RowBatch> {
  let gathered: string[] = []
  let size = 0
  let firstLine = 1
  let row = 0
  const finish = (): LoadedRow[] => {
    const made = size > maxLineBytes ? [tooLong(file, firstLine)] : gathered.length === 0 ? [] : [rowOf(gathered.join('\n'), file, firstLine)]
    gathered = []
    size = 0
    return made
  }
  for await (const block of readBlocks(text)) {
    const rows: LoadedRow[] = []
    if (block.tooLong === true) size = Infinity
    for (const [line, number] of splitLines(textOf(block.bytes))) {
      if (line.trim() === '') {
        rows.push(...finish())
        continue
      }
      if (size === 0) firstLine = block.line + number
      size += line.length + 1
      // Over the limit nothing is kept, only measured.
      if (size > maxLineBytes) gathered = []
      else gathered.push(line)
    }
    if (rows.length > 0) yield { rows, start: { row } }
    row += rows.length
  }
  const rows = finish()
  if (rows.length > 0) yield { rows, start: { row } }
}
