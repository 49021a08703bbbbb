// How many rows of a micro-batch fit in memory. Batches of 1, 2, 4 … rows take a trial each, until what the peak grows by a
// row stays the same; that is extrapolated to the limit. No batch is tried that would come near it.
import { formatBytes } from '../../utils/terminal.js'
import type { LargestBatch } from './report.js'

export interface SearchOptions {
  /** Tokens of a row, or of a window with packing. */
  tokensEach: number
  /** What the process may hold: resident now and what is free beside. */
  capacityBytes: number
  limit: 'container' | 'free memory'
  /** Of the activations of so many rows, from sizes alone: decides what is safe to try before anything is measured. */
  estimateBytes(rows: number): number
}

/** Of the capacity: what training may use, and what a trial may. */
const usableShare = 0.95
const trialShare = 0.7
/** Smaller growth from one size to the next is noise of the process, or hidden below what loading took. */
const clearGrowthBytes = 16 * 2 ** 20
/** Growth a row that differs less than this between two sizes is that of the rows, not of things made once. */
const sameGrowth = 0.25
/** Of a trial. */
const mostTokens = 2 ** 17

export class BatchSearch {
  readonly #options: SearchOptions
  readonly #measured: { rows: number; peak: number }[] = []
  #lastSeconds = 0

  constructor(options: SearchOptions) {
    this.#options = options
  }

  /** Rows to try next; null: enough is known, or more would be too much, or take too long. Call `add` with what came of it. */
  next(secondsLeft: number): number | null {
    const last = this.#measured.at(-1)
    if (last === undefined) return this.#options.estimateBytes(1) < trialShare * this.#options.capacityBytes ? 1 : null
    const rows = 2 * last.rows
    if (this.#slope() !== null || 2 * this.#lastSeconds > secondsLeft || rows * this.#options.tokensEach > mostTokens) return null
    const before = this.#measured.at(-2)
    const growth = before === undefined ? 0 : ((last.peak - before.peak) / (last.rows - before.rows)) * last.rows
    const predicted = last.peak + Math.max(growth, this.#options.estimateBytes(rows) - this.#options.estimateBytes(last.rows))
    return predicted < trialShare * this.#options.capacityBytes ? rows : null
  }

  add(rows: number, peakBytes: number, seconds: number): void {
    this.#measured.push({ rows, peak: peakBytes })
    this.#lastSeconds = seconds
  }

  result(): LargestBatch {
    const { tokensEach, capacityBytes, limit } = this.#options
    const measured = this.#measured.map(({ rows, peak }) => ({ batch_size: rows, peak_rss_bytes: peak }))
    const shared = { tokens_each: tokensEach, limit_bytes: capacityBytes, limit, measured }
    const limitText = `${formatBytes(capacityBytes)} (${limit === 'container' ? 'the limit of the container or process' : 'free memory, and what this process holds'})`
    const last = this.#measured.at(-1)
    if (last === undefined) return { ...shared, batch_size: null, exact: false, bytes_each: null, how: `nothing was tried, because a batch of 1 may not fit in ${limitText}` }
    const slope = this.#slope()
    if (slope === null) {
      return { ...shared, batch_size: last.rows, exact: false, bytes_each: null, how: `no more were tried, and what each takes is not known for certain; the limit is ${limitText}` }
    }
    const fits = Math.max(last.rows, last.rows + Math.floor((usableShare * capacityBytes - last.peak) / slope))
    const [a, b, c] = this.#measured.slice(-3).map(({ rows }) => rows)
    return {
      ...shared, batch_size: fits, exact: true, bytes_each: slope,
      how: `peak memory at ${a ?? 0}, ${b ?? 0} and ${c ?? 0} grew by ${formatBytes(slope)} each; extrapolated to ${100 * usableShare} % of ${limitText}`,
    }
  }

  /** Bytes a row, once the peak has clearly grown twice in a row and by the same. */
  #slope(): number | null {
    const [a, b, c] = this.#measured.slice(-3)
    if (a === undefined || b === undefined || c === undefined) return null
    if (b.peak - a.peak < clearGrowthBytes || c.peak - b.peak < clearGrowthBytes) return null
    const [before, now] = [(b.peak - a.peak) / (b.rows - a.rows), (c.peak - b.peak) / (c.rows - b.rows)]
    return Math.abs(now - before) <= sameGrowth * now ? Math.max(now, before) : null
  }
}
