// DatasetStatistics: numbers about rows as they pass, in memory that does not grow with them. What is exact and what is an
// estimate is said beside the number.
import { fail } from '../core/errors/index.js'
import { keyOfText } from './key-set.js'
import { DuplicateCounter } from './statistics/duplicate-counter.js'
import { LengthSketch, type HistogramBin, type LengthSummary } from './statistics/length-sketch.js'
import { qualityOf } from './statistics/quality.js'
import { placeText, type RowPlace } from './types.js'

export type { HistogramBin, LengthSummary } from './statistics/length-sketch.js'

export interface StatisticsRow {
  /** What it says. */
  text: string
  /** Name of its format. */
  shape: string
  place: RowPlace
  /** Tokens of the whole row, and how many of them carry loss; absent where nothing was tokenized. */
  tokens?: number
  supervised?: number
}

export interface LongRow {
  /** "file:line" */
  place: string
  characters: number
  tokens?: number
}

export interface StatisticsReport {
  rows: number
  /** Row format → rows. */
  shapes: Record<string, number>
  characters: LengthSummary & { total: number; histogram: HistogramBin[] }
  /** null: the rows were not tokenized. */
  tokens: (LengthSummary & { total: number; supervised: number; supervisedShare: number; histogram: HistogramBin[] }) | null
  /** Rows that say, byte for byte, what an earlier one said. */
  duplicates: { rows: number; share: number; exact: boolean }
  /**
   * Whatever the language. Rows are judged by their first 20000 characters; after the first 20000 rows one in sixteen is, chosen by
   * its hash, and counts for sixteen: `exact` is then false for all but emptyRows.
   */
  quality: { emptyRows: number; rowsWithControls: number; repetitiveRows: number; letterShare: number; digitShare: number; spaceShare: number; exact: boolean }
  /** By tokens, or characters where there are none; the longest first. */
  longest: LongRow[]
}

const keptLongest = 10
const allJudged = 20_000
const oneIn = 16

export class DatasetStatistics {
  readonly #characters = new LengthSketch()
  readonly #tokens = new LengthSketch()
  readonly #duplicates: DuplicateCounter
  readonly #shapes = new Map<string, number>()
  readonly #quality = { emptyRows: 0, rowsWithControls: 0, repetitiveRows: 0, letters: 0, digits: 0, spaces: 0, characters: 0 }
  readonly #longest: LongRow[] = []
  #supervised = 0

  /** @param options.duplicateCapacity different rows up to which duplicates are counted exactly. Default 2 million */
  constructor(options: { duplicateCapacity?: number } = {}) {
    this.#duplicates = new DuplicateCounter(options.duplicateCapacity)
  }

  /** Errors: FT_INVALID_ARGUMENT. */
  add(row: StatisticsRow): void {
    const { text, shape, place, tokens, supervised } = row ?? ({} as StatisticsRow)
    if (typeof text !== 'string' || typeof shape !== 'string' || typeof place?.line !== 'number') {
      fail('FT_INVALID_ARGUMENT', 'a row of DatasetStatistics has a text, a shape and a place', { remedy: "for example { text, shape: 'text', place: { file: 'data.jsonl', line: 1 } }" })
    }
    this.#shapes.set(shape, (this.#shapes.get(shape) ?? 0) + 1)
    this.#characters.add(text.length)
    if (tokens !== undefined) this.#tokens.add(tokens)
    this.#supervised += supervised ?? 0
    const [high, low] = keyOfText(`${shape}\n${text}`)
    this.#duplicates.add(high, low)
    if (!/\S/.test(text)) this.#quality.emptyRows++
    if (this.#characters.count <= allJudged) this.#judge(text, 1)
    else if (high % oneIn === 0) this.#judge(text, oneIn)
    this.#keepLongest(text.length, tokens, place)
  }

  report(): StatisticsReport {
    const rows = this.#characters.count
    const { letters, digits, spaces, characters, ...counts } = this.#quality
    const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)
    const total = this.#tokens.sum
    return {
      rows,
      shapes: Object.fromEntries(this.#shapes),
      characters: { ...this.#characters.summary(), total: this.#characters.sum, histogram: this.#characters.histogram() },
      tokens: this.#tokens.count === 0 ? null : { ...this.#tokens.summary(), total, supervised: this.#supervised, supervisedShare: share(this.#supervised, total), histogram: this.#tokens.histogram() },
      duplicates: { rows: this.#duplicates.repeats, share: share(this.#duplicates.repeats, rows), exact: this.#duplicates.exact },
      quality: { ...counts, letterShare: share(letters, characters), digitShare: share(digits, characters), spaceShare: share(spaces, characters), exact: rows <= allJudged },
      longest: this.#longest.map((row) => ({ ...row })),
    }
  }

  #judge(text: string, weight: number): void {
    const all = this.#quality
    const one = qualityOf(text)
    all.rowsWithControls += weight * Number(one.controls > 0)
    all.repetitiveRows += weight * Number(one.repetitive)
    all.letters += weight * one.letters
    all.digits += weight * one.digits
    all.spaces += weight * one.spaces
    all.characters += weight * one.characters
  }

  #keepLongest(characters: number, tokens: number | undefined, place: RowPlace): void {
    const last = this.#longest[keptLongest - 1]
    const length = (row: LongRow): number => row.tokens ?? row.characters
    if (last !== undefined && length(last) >= (tokens ?? characters)) return
    const row: LongRow = { place: placeText(place), characters, ...(tokens === undefined ? {} : { tokens }) }
    const at = this.#longest.findIndex((one) => length(one) < length(row))
    this.#longest.splice(at < 0 ? this.#longest.length : at, 0, row)
    this.#longest.length = Math.min(this.#longest.length, keptLongest)
  }
}
