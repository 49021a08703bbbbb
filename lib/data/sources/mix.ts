// Rows of several sources, interleaved by weight. Which source a row comes from is a function of the seed and the row's
// number alone, so a mixture goes on anywhere without what came before.
import { fail } from '../../core/errors/index.js'
import { randomStream } from '../random.js'
import type { MixStop } from './types.js'

const mixKey = 5

/** Which source row number i is drawn from; weights are relative. */
export function sourceChooser(weights: readonly number[], seed: number): (i: number) => number {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return (i) => {
    let point = (randomStream(seed, mixKey, i)() / 2 ** 32) * total
    for (let source = 0; source < weights.length; source++) {
      point -= weights[source] as number
      if (point < 0) return source
    }
    return weights.length - 1
  }
}

/** One source of a mixture. `open` begins again at its first row. */
export interface MixedSource<T> {
  weight: number
  open(): AsyncIterator<T>
}

/** Rows drawn so far, and how far each source has come: rows of this pass, and passes that ended. */
export interface MixCursor {
  drawn: number
  taken: number[]
  passes: number[]
}

export interface MixOptions {
  seed: number
  stop: MixStop
  /** Where the mixture stands; sources given to it must stand there too. It is kept current. */
  cursor: MixCursor
}

export function startOfMix(sources: number): MixCursor {
  return { drawn: 0, taken: new Array<number>(sources).fill(0), passes: new Array<number>(sources).fill(0) }
}

/** Each row with its source. A source without any row is passed over. Errors: FT_DATASET where one cannot be read again. */
export async function* mixRows<T>(sources: readonly MixedSource<T>[], { seed, stop, cursor }: MixOptions, opened: (AsyncIterator<T> | undefined)[] = []): AsyncGenerator<[T, number]> {
  const choose = sourceChooser(sources.map(({ weight }) => weight), seed)
  const iterators = sources.map((source, i) => opened[i] ?? source.open())
  // A pass that ended without a row.
  const empty = new Set(sources.flatMap((_, i) => (cursor.taken[i] === 0 && (cursor.passes[i] as number) > 0 ? [i] : [])))
  try {
    for (;;) {
      const chosen = choose(cursor.drawn)
      if (empty.has(chosen)) {
        cursor.drawn++
        continue
      }
      let next = await (iterators[chosen] as AsyncIterator<T>).next()
      if (next.done === true) {
        if ((cursor.taken[chosen] as number) === 0 && (cursor.passes[chosen] as number) === 0) empty.add(chosen)
        cursor.passes[chosen] = (cursor.passes[chosen] as number) + 1
        const ended = cursor.passes.every((passes) => passes > 0)
        if (ended || (stop === 'first_exhausted' && !empty.has(chosen))) return
        if (empty.has(chosen)) continue
        iterators[chosen] = (sources[chosen] as MixedSource<T>).open()
        cursor.taken[chosen] = 0
        next = await (iterators[chosen]).next()
        if (next.done === true) {
          fail('FT_DATASET', `source ${chosen + 1} of the mixture is to be read again, and gives no row the second time`, { remedy: 'give rows that can be read more than once (an array, a function, files), or mix with first_exhausted' })
        }
      }
      cursor.drawn++
      cursor.taken[chosen] = (cursor.taken[chosen] as number) + 1
      yield [next.value, chosen]
    }
  } finally {
    for (const iterator of iterators) await iterator.return?.()
  }
}
