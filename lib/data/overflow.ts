// What becomes of a row of more than max_seq_length tokens: a table of ways. Whatever is lost is counted by the row store, so nothing
// is cut in silence.
import { ignoreLabel, type EncodedRow } from './types.js'

/**
 * truncate: its end goes · truncate_left: its begin goes · keep_answer: what stands before the last answer goes, and what follows it ·
 * drop: all of it goes · split: it becomes several rows · keep: it stays as it is.
 */
export type Overflow = 'truncate' | 'truncate_left' | 'keep_answer' | 'drop' | 'split' | 'keep'

export interface OverflowOptions {
  overflow: Overflow
  maxSeqLength: number
  /** split: tokens that a part begins with as the one before it ended; they carry no loss there. */
  stride: number
  /** A row that begins with it still does when its begin goes. */
  bosTokenId: number | null
}

/** null: the row is dropped. A row of 'split' stays whole here: see splitRow. */
export function fitRow(row: EncodedRow, options: OverflowOptions): EncodedRow | null {
  const { overflow, maxSeqLength } = options
  if (row.inputIds.length <= maxSeqLength) return row
  switch (overflow) {
    case 'keep':
    case 'split':
      return row
    case 'drop':
      return null
    case 'truncate':
      return part(row, 0, maxSeqLength)
    case 'truncate_left':
      return endingAt(row, row.inputIds.length, options)
    case 'keep_answer':
      return aroundAnswer(row, options)
  }
}

function part({ inputIds, labels }: EncodedRow, from: number, to: number): EncodedRow {
  return { inputIds: inputIds.subarray(from, to), labels: labels.subarray(from, to) }
}

/** The tokens before `end` that there is room for, after the beginning-of-sequence token. */
function endingAt(row: EncodedRow, end: number, { maxSeqLength, bosTokenId }: OverflowOptions): EncodedRow {
  if (row.inputIds[0] !== bosTokenId || bosTokenId === null || end <= maxSeqLength) return part(row, Math.max(0, end - maxSeqLength), end)
  const tail = part(row, end - maxSeqLength + 1, end)
  const kept = { inputIds: new Int32Array(maxSeqLength), labels: new Int32Array(maxSeqLength) }
  for (const which of ['inputIds', 'labels'] as const) {
    kept[which][0] = row[which][0] as number
    kept[which].set(tail[which], 1)
  }
  return kept
}

/** An answer that is itself too long loses its end. */
function aroundAnswer(row: EncodedRow, options: OverflowOptions): EncodedRow {
  const { maxSeqLength } = options
  let end = row.labels.length
  while (end > 0 && row.labels[end - 1] === ignoreLabel) end--
  if (end === 0) return part(row, 0, maxSeqLength)
  let begin = end
  while (begin > 0 && row.labels[begin - 1] !== ignoreLabel) begin--
  const room = row.inputIds[0] === options.bosTokenId && begin > 0 ? maxSeqLength - 1 : maxSeqLength
  return end - begin <= room ? endingAt(row, end, options) : part(row, begin, begin + maxSeqLength)
}

type SplitOptions = Pick<OverflowOptions, 'maxSeqLength' | 'stride'>

/** Parts of at most maxSeqLength tokens; every token carries its loss in one of them, but for the first of a part without stride. */
export function splitRow(row: EncodedRow, options: SplitOptions): EncodedRow[] {
  const { length } = row.inputIds
  return length <= options.maxSeqLength ? [row] : partRanges(length, options).map((range) => cutPart(row, range))
}

/** Where a part of a long row is. */
export interface PartRange {
  from: number
  to: number
  /** Its first tokens are the last ones of the part before it. */
  shared: number
}

export function partRanges(length: number, { maxSeqLength, stride }: SplitOptions): PartRange[] {
  const ranges: PartRange[] = []
  for (let from = 0; ; from += maxSeqLength - stride) {
    ranges.push({ from, to: Math.min(length, from + maxSeqLength), shared: from === 0 ? 0 : stride })
    if (from + maxSeqLength >= length) return ranges
  }
}

function cutPart(row: EncodedRow, { from, to, shared }: PartRange): EncodedRow {
  const one = part(row, from, to)
  return shared === 0 ? one : { inputIds: one.inputIds, labels: one.labels.slice().fill(ignoreLabel, 0, shared) }
}

/** A part of a row that is read when it is looked at. */
export class PartRow implements EncodedRow {
  readonly #whole: EncodedRow
  readonly #range: PartRange

  constructor(whole: EncodedRow, range: PartRange) {
    this.#whole = whole
    this.#range = range
  }

  get inputIds(): Int32Array {
    return cutPart(this.#whole, this.#range).inputIds
  }

  get labels(): Int32Array {
    return cutPart(this.#whole, this.#range).labels
  }

  get length(): number {
    return this.#range.to - this.#range.from
  }
}
