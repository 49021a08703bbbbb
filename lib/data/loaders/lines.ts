// A text as blocks of whole lines: looking for line ends in a block at a time is what makes reading fast. Memory is
// that of one chunk or of the longest line.
import type { RowStart } from './loader.js'
import type { TextStream } from './read.js'

/** Longer lines are bad rows: V8 cannot hold a text of 512 MiB, and no tokenizer wants one. */
export const maxLineBytes = 1 << 28

export interface LineBlock {
  /** Whole lines with their ends; the last one of a file may have none. */
  bytes: Buffer
  /** Number of the first line, from 1. */
  line: number
  /** Where the block begins in the file, or null where that is not known. */
  byte: number | null
  /** In place of one line that is too long: no bytes. */
  tooLong?: true
}

export async function* readBlocks(text: TextStream, firstLine = 1): AsyncGenerator<LineBlock> {
  let byte = text.offset ?? 0
  let line = firstLine
  /** The line that the last chunk began. */
  let parts: Buffer[] = []
  let size = 0
  const block = (bytes: Buffer, tooLong: boolean): LineBlock => {
    const whole = parts.length === 0 ? bytes : Buffer.concat([...parts, bytes])
    const made: LineBlock = { bytes: tooLong ? Buffer.alloc(0) : whole, line, byte: text.offset === null ? null : byte }
    if (tooLong) made.tooLong = true
    byte += size + bytes.length
    parts = []
    size = 0
    return made
  }
  for await (const chunk of text.chunks) {
    let from = 0
    if (size > maxLineBytes) {
      // A line over the limit is not kept, only measured; it ends with its line end.
      const end = chunk.indexOf(10)
      if (end < 0) {
        size += chunk.length
        continue
      }
      yield block(chunk.subarray(0, end + 1), true)
      line++
      from = end + 1
    }
    const last = chunk.lastIndexOf(10)
    if (last >= from) {
      const made = block(chunk.subarray(from, last + 1), false)
      yield made
      line += countLineEnds(made.bytes)
      from = last + 1
    }
    if (from < chunk.length) {
      parts.push(chunk.subarray(from))
      size += chunk.length - from
      if (size > maxLineBytes) parts = []
    }
  }
  if (size > 0) yield block(Buffer.alloc(0), size > maxLineBytes)
}

/** Of the first row of a block. */
export function startOf(row: number, { byte, line }: LineBlock): RowStart {
  return byte === null ? { row } : { row, block: { row, byte, line } }
}

export function countLineEnds(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++
  return count
}

/** Each line of a text without its end, with its number counted from 0. */
export function* splitLines(text: string): Generator<[string, number]> {
  let start = 0
  let number = 0
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
    yield [text.slice(start, text.charCodeAt(end - 1) === 13 && end > start ? end - 1 : end), number++]
    start = end + 1
  }
  if (start < text.length) yield [text.charCodeAt(text.length - 1) === 13 ? text.slice(start, -1) : text.slice(start), number]
}
