// The micro-batches of each optimizer step: a pure function of rows, seed and step number, so that a run can begin
// anywhere. Plans of at most two epochs are kept.
import { packRows, rowLength, wrapRows, type EncodedRow, type EpochOptions, type EpochPlan, type Windows } from '../data/index.js'
import type { Batch, TrainingBackend } from './engine.js'
import { cursorAt } from './run-plan.js'

type DataBackend = Pick<TrainingBackend, 'planEpoch' | 'toBatch'>

export interface SharedWindow {
  /** Tokens that it holds. */
  length: number
  /** Rows run across windows, and attention across rows. */
  wrapped: boolean
}

export interface BatchOptions extends Omit<EpochOptions, 'epoch' | 'rows' | 'packing' | 'groupByLength'> {
  /** What rows share; absent: a micro-batch is batchSize rows. */
  window?: SharedWindow
  /** Rows of like length meet in a step. */
  groupByLength?: boolean
}

export class StepBatches {
  /** The same in every epoch. */
  readonly stepsPerEpoch: number
  readonly #backend: DataBackend
  readonly #rows: readonly EncodedRow[]
  readonly #options: Omit<EpochOptions, 'epoch'>
  readonly #epochs = new Map<number, EpochPlan>()
  readonly #window: SharedWindow | undefined
  /** Rows, or windows, of a micro-batch: less than planned where memory is short. */
  #limit: number

  constructor(backend: DataBackend, rows: readonly EncodedRow[], { window, groupByLength, ...options }: BatchOptions) {
    this.#backend = backend
    this.#rows = window?.wrapped ? wrapRows(rows, { windowLength: window.length, shuffle: options.shuffle, seed: options.seed }) : rows
    const lengths = groupByLength ? { groupByLength: lengthsOf(rows) } : {}
    this.#options = { ...options, ...lengths, rows: this.#rows.length, packing: windowsOf(rows, window, options) }
    this.#window = window?.wrapped ? undefined : window
    this.#limit = options.batchSize
    this.stepsPerEpoch = this.#epoch(0).length
  }

  /** Rows, or windows, of a micro-batch. */
  get batchSize(): number {
    return this.#limit
  }

  /** From now on micro-batches are divided into some of at most so many rows or windows; a step keeps its rows. */
  limitTo(batchSize: number): void {
    this.#limit = batchSize
  }

  /** Micro-batches of the step that follows `globalStep` done ones. */
  at(globalStep: number): Batch[] {
    const { epoch, stepInEpoch } = cursorAt(globalStep, this)
    const microBatches = this.#epoch(epoch).at(stepInEpoch) ?? []
    // A row's key is its place in the step whatever the split into micro-batches: dropout must not depend on it.
    const order = microBatches.flat().sort((a, b) => a - b)
    const place = new Map(order.map((row, index) => [row, index]))
    return microBatches.flatMap((rows) => this.#divided(rows)).map((rows) => this.#backend.toBatch(rows.map((row) => rowAt(this.#rows, row)), rows.map((row) => place.get(row) ?? 0)))
  }

  /** The heaviest micro-batch that any shuffle can make: the longest rows, or the fullest windows, together. */
  longest(): Batch {
    const rows = this.#longest(this.#limit).map((row) => rowAt(this.#rows, row))
    return this.#backend.toBatch(rows, rows.map((_row, index) => index))
  }

  longestTokens(): number {
    return this.heaviestRows(this.#limit).reduce((sum, length) => sum + length, 0)
  }

  /** Tokens of each row of the heaviest micro-batch of so many rows or windows. */
  heaviestRows(batchSize: number): number[] {
    return this.#longest(batchSize).map((row) => rowLength(rowAt(this.#rows, row)))
  }

  #divided(rows: number[]): number[][] {
    if (this.#limit >= this.#options.batchSize) return [rows]
    const parts: number[][] = []
    let tokens = 0
    for (const row of rows) {
      const length = rowLength(rowAt(this.#rows, row))
      const part = parts.at(-1)
      const fits = part !== undefined && (this.#window === undefined ? part.length < this.#limit : tokens + length <= this.#limit * this.#window.length)
      if (fits) part.push(row)
      else parts.push([row])
      tokens = fits ? tokens + length : length
    }
    return parts
  }

  #longest(batchSize: number): number[] {
    // Steps of one unit each are the rows, or the windows.
    const plan = this.#backend.planEpoch({ ...this.#options, batchSize: 1, accumulation: 1, epoch: 0 })
    let heaviest: { step: number; tokens: number }[] = []
    let step = 0
    for (const [rows = []] of plan) {
      heaviest.push({ step: step++, tokens: rows.reduce((sum, row) => sum + rowLength(rowAt(this.#rows, row)), 0) })
      if (heaviest.length >= 2 * batchSize + 1000) heaviest = heaviestOf(heaviest, batchSize)
    }
    return heaviestOf(heaviest, batchSize).flatMap((unit) => plan.at(unit.step)?.flat() ?? [])
  }

  #epoch(epoch: number): EpochPlan {
    const known = this.#epochs.get(epoch)
    if (known !== undefined) return known
    const planned = this.#backend.planEpoch({ ...this.#options, epoch })
    for (const older of this.#epochs.keys()) if (older < epoch - 1 || older > epoch) this.#epochs.delete(older)
    this.#epochs.set(epoch, planned)
    return planned
  }
}

/** Equal ones in order. */
function heaviestOf(units: readonly { step: number; tokens: number }[], count: number): { step: number; tokens: number }[] {
  return units.toSorted((a, b) => b.tokens - a.tokens).slice(0, count)
}

/** Packed once: all epochs have the same windows. Wrapped windows are rows by now. */
function windowsOf(rows: readonly EncodedRow[], window: SharedWindow | undefined, { shuffle, seed }: Pick<EpochOptions, 'shuffle' | 'seed'>): Windows | undefined {
  if (window === undefined || window.wrapped) return undefined
  return packRows({ rows: rows.length, shuffle, seed, packing: { windowLength: window.length, lengths: lengthsOf(rows) } })
}

function lengthsOf(rows: readonly EncodedRow[]): Int32Array {
  return Int32Array.from(rows, rowLength)
}

function rowAt(rows: readonly EncodedRow[], index: number): EncodedRow {
  const row = rows[index]
  if (row === undefined) throw new RangeError(`row ${index} of ${rows.length}`)
  return row
}

/** The rows in order, `batchSize` rows or windows at a time. */
export function* evaluationBatches(backend: DataBackend, given: readonly EncodedRow[], { batchSize, window }: Pick<BatchOptions, 'batchSize' | 'window'>): Generator<Batch> {
  const rows = window?.wrapped ? wrapRows(given, { windowLength: window.length, shuffle: false, seed: 0 }) : given
  const order = { shuffle: false, seed: 0 }
  for (const step of backend.planEpoch({ ...order, rows: rows.length, batchSize, accumulation: 1, epoch: 0, packing: windowsOf(rows, window, order) })) {
    for (const micro of step) {
      const part = micro.map((row) => rowAt(rows, row))
      yield backend.toBatch(part, part.map((_row, index) => index))
    }
  }
}
