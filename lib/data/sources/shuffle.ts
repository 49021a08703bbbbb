// A stream of rows in the order of a seed: shuffled inside stretches of so many rows, which is what memory holds of it, and dealt to
// data-parallel processes. The order is that of training with the same window (plan.ts): a stretch depends on the seed, the epoch and
// where it begins, so that a reader goes on at any row after reading its stretch again, and nothing before it.
import { fail } from '../../core/errors/index.js'
import { stretchOrder } from '../plan.js'
import type { LoadedRow } from '../types.js'

export interface StreamOrder {
  /** Rows of a stretch; so many are held in memory. 1: the order of the data. */
  window: number
  seed: number
  /** Default 0. */
  epoch?: number
  /** Which of `world` processes reads: each gets every world-th row of the order. Default 0 of 1. */
  rank?: number
  world?: number
}

/** Where in the order: a stretch by its first row, and how many rows of it are behind, of all ranks together. */
export interface OrderCursor {
  begin: number
  taken: number
}

/** A stream that can say where it stands. */
interface Source<Cursor> {
  rows(): AsyncIterator<LoadedRow>
  cursor(): Cursor
}

/** Errors: FT_INVALID_ARGUMENT. */
export function checkOrder({ window, seed, epoch = 0, rank = 0, world = 1 }: StreamOrder): void {
  const whole = (value: number, least: number): boolean => Number.isSafeInteger(value) && value >= least
  if (!whole(window, 1)) fail('FT_INVALID_ARGUMENT', `a shuffle window of ${window} rows: it must be an integer of 1 or more`)
  if (!Number.isSafeInteger(seed) || !whole(epoch, 0)) fail('FT_INVALID_ARGUMENT', `the order of seed ${seed} and epoch ${epoch}: both must be integers`)
  if (!whole(world, 1) || !whole(rank, 0) || rank >= world) fail('FT_INVALID_ARGUMENT', `rank ${rank} of ${world}: ranks are 0 to world - 1`)
}

/** One pass over a source in its order. */
export class OrderedRows<Cursor> {
  readonly #order: StreamOrder
  readonly #source: Source<Cursor>
  /** Of the source, where the stretch begins. */
  #start: Cursor
  #begin: number
  #taken: number

  /** @param from where to go on; the source then stands at the begin of that stretch */
  constructor(order: StreamOrder, source: Source<Cursor>, from?: OrderCursor) {
    this.#order = order
    this.#source = source
    this.#start = source.cursor()
    this.#begin = from?.begin ?? 0
    this.#taken = from?.taken ?? 0
  }

  /** Where the row after the last one that was given stands. */
  cursor(): { source: Cursor; order: OrderCursor } {
    return { source: this.#start, order: { begin: this.#begin, taken: this.#taken } }
  }

  async *rows(): AsyncGenerator<LoadedRow> {
    const { window, seed, epoch = 0, rank = 0, world = 1 } = this.#order
    /** The first row of the next stretch, read to see whether there is one. */
    let ahead: LoadedRow | null = null
    const rows = this.#source.rows()
    try {
      for (;;) {
        const stretch: LoadedRow[] = ahead === null ? [] : [ahead]
        while (stretch.length < window) {
          const next = await rows.next()
          if (next.done === true) break
          stretch.push(next.value)
        }
        const end = this.#source.cursor()
        const next = stretch.length < window ? null : await rows.next()
        ahead = next === null || next.done === true ? null : next.value
        const places = stretchOrder(stretch.length, { seed, epoch, begin: this.#begin, whole: this.#begin === 0 && ahead === null })
        while (this.#taken < places.length) {
          const place = places[this.#taken] as number
          const mine = (this.#begin + this.#taken) % world === rank
          this.#taken++
          if (mine) yield stretch[place] as LoadedRow
        }
        if (ahead === null) return
        this.#start = end
        this.#begin += stretch.length
        this.#taken = 0
      }
    } finally {
      await rows.return?.()
    }
  }
}
