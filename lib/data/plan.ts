// Which rows make up each optimizer step of an epoch, and micro-batches for the engine.
import { fail } from '../core/errors/index.js'
import type { NativeBatch } from '../native/binding.js'
import { packWindows, Windows } from './packing.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { inOrder, randomStream, shuffled } from './random.js'
import type { EncodedRow } from './types.js'

export interface EpochOptions {
  /** How many there are. */
  rows: number
  /** Rows of a micro-batch; windows, with packing. */
  batchSize: number
  /** Micro-batches of a step. */
  accumulation: number
  /** false: the order of the files. */
  shuffle: boolean
  seed: number
  epoch: number
  /** Rows share windows: how, or what packRows made of that. */
  packing?: PackingOptions | Windows
  /** Rows (windows) are shuffled inside stretches of this many, as where they come as a stream. Absent: all together. */
  shuffleWindow?: number
  /** Tokens of each row: rows of like length then meet in a step. Not with packing. */
  groupByLength?: ArrayLike<number>
  /** Which of `world` data-parallel processes this is. Default 0 of 1. A step is then the part of this one. */
  rank?: number
  world?: number
}

const epochNames: OptionNames<EpochOptions> = {
  rows: true, batchSize: true, accumulation: true, shuffle: true, seed: true, epoch: true, packing: true, shuffleWindow: true, groupByLength: true, rank: true, world: true,
}

export interface PackingOptions {
  /** Tokens of each row. */
  lengths: ArrayLike<number>
  /** Tokens that a window holds. */
  windowLength: number
}

/** step → micro-batch → row indices. A step is put together when it is asked for. */
export interface EpochPlan extends Iterable<number[][]> {
  /** Steps. */
  readonly length: number
  /** undefined: there is no such step. */
  at(step: number): number[][] | undefined
}

const orderKey = 1
const splitKey = 2
const packingKey = 3
const groupKey = 5

/**
 * A pure function of its options: a run resumes at (epoch, step) without what came before. The last micro-batch
 * and the last step may be smaller: ceil(ceil(units / batchSize) / (accumulation × world)) steps, where a unit is a row, or a
 * window with packing. The rows of a step, of all ranks together, do not depend on how batchSize × accumulation × world is split;
 * ranks share no row, and in the last step some may have none.
 */
export function planEpoch(options: EpochOptions): EpochPlan {
  checkOptions('planEpoch', options, epochNames)
  const { batchSize, accumulation } = options
  const { rank, world } = checkSizes(options)
  const windows = options.packing === undefined ? null : windowsOf({ ...options, packing: options.packing })
  const units = windows === null ? options.rows : windows.length
  const order = orderOf(units, options)
  const stepUnits = batchSize * accumulation * world
  const microBatch = (start: number): number[] => {
    const taken = order.subarray(start, start + batchSize)
    return windows === null ? [...taken] : [...taken].flatMap((window) => [...windows.rows(window)])
  }
  return new LazyPlan(Math.ceil(units / stepUnits), (step) => {
    const microBatches: number[][] = []
    for (let micro = 0; micro < accumulation; micro++) {
      const start = step * stepUnits + (micro * world + rank) * batchSize
      if (start >= units) break
      microBatches.push(microBatch(start))
    }
    return microBatches
  })
}

class LazyPlan implements EpochPlan {
  readonly length: number
  readonly #step: (step: number) => number[][]

  constructor(length: number, step: (step: number) => number[][]) {
    this.length = length
    this.#step = step
  }

  at(step: number): number[][] | undefined {
    return step >= 0 && step < this.length ? this.#step(step) : undefined
  }

  *[Symbol.iterator](): Generator<number[][]> {
    for (let step = 0; step < this.length; step++) yield this.#step(step)
  }
}

function checkSizes({ batchSize, accumulation, rank = 0, world = 1, shuffleWindow, groupByLength, packing, rows }: EpochOptions): { rank: number; world: number } {
  const whole = (value: number): boolean => Number.isInteger(value) && value >= 1
  if (!whole(batchSize) || !whole(accumulation)) {
    fail('FT_INVALID_ARGUMENT', `batch size ${batchSize} × accumulation ${accumulation}: both must be integers of 1 or more`)
  }
  if (!whole(world) || !Number.isInteger(rank) || rank < 0 || rank >= world) fail('FT_INVALID_ARGUMENT', `rank ${rank} of ${world}: ranks are 0 to world - 1`)
  if (shuffleWindow !== undefined && !whole(shuffleWindow)) fail('FT_INVALID_ARGUMENT', `a shuffle window of ${shuffleWindow} rows: it must be an integer of 1 or more`)
  if (groupByLength !== undefined && packing !== undefined) fail('FT_INVALID_ARGUMENT', 'windows are all of one length: group by length or pack, not both')
  if (groupByLength !== undefined && groupByLength.length !== rows) fail('FT_INVALID_ARGUMENT', `grouping needs a length for each of the ${rows} rows, got ${groupByLength.length}`)
  return { rank, world }
}

/** The units of an epoch in the order in which steps take them. */
function orderOf(units: number, options: EpochOptions): Int32Array {
  const { shuffle, seed, epoch, shuffleWindow, groupByLength: lengths, batchSize, accumulation, world = 1 } = options
  const order = !shuffle ? inOrder(units) : windowedOrder(units, shuffleWindow ?? units, seed, epoch)
  return lengths === undefined ? order : grouped(order, lengths, { stepUnits: batchSize * accumulation * world, shuffle, seed, epoch })
}

/** 0 … count - 1, shuffled inside stretches of `window`: where a stretch begins, nothing before it needs to be known. */
export function windowedOrder(count: number, window: number, seed: number, epoch: number): Int32Array {
  if (window >= count) return stretchOrder(count, { seed, epoch, begin: 0, whole: true })
  const order = new Int32Array(count)
  for (let begin = 0; begin < count; begin += window) {
    const stretch = stretchOrder(Math.min(window, count - begin), { seed, epoch, begin, whole: false })
    order.set(stretch.map((place) => begin + place), begin)
  }
  return order
}

/** The places of a stretch of `size` rows that begins at row `begin`. `whole`: it is all there is. */
export function stretchOrder(size: number, { seed, epoch, begin, whole }: { seed: number; epoch: number; begin: number; whole: boolean }): Int32Array {
  return shuffled(size, whole ? randomStream(seed, orderKey, epoch) : randomStream(seed, orderKey, epoch, begin))
}

/** Steps whose rows are sorted together. */
const stepsPerGroup = 50

/** Rows of like length into steps: each group is sorted by length and cut into steps, and the full steps of the epoch are shuffled. */
function grouped(order: Int32Array, lengths: ArrayLike<number>, { stepUnits, shuffle, seed, epoch }: { stepUnits: number; shuffle: boolean; seed: number; epoch: number }): Int32Array {
  const sorted = order.slice()
  // A view: it is sorted where it lies.
  for (let begin = 0; begin < sorted.length; begin += stepUnits * stepsPerGroup) sorted.subarray(begin, begin + stepUnits * stepsPerGroup).sort((a, b) => (lengths[b] as number) - (lengths[a] as number))
  if (!shuffle) return sorted
  const full = Math.floor(sorted.length / stepUnits)
  const result = sorted.slice()
  shuffled(full, randomStream(seed, groupKey, epoch)).forEach((step, at) => result.set(sorted.subarray(step * stepUnits, (step + 1) * stepUnits), at * stepUnits))
  return result
}

/**
 * The rows of every window. They depend on the seed and not on the epoch: all epochs then have the same number of
 * steps, so that a step's place in the data is a division and not a walk through earlier epochs. What changes by the
 * epoch is which windows meet in a step.
 */
export function packRows({ rows, shuffle, seed, packing }: Pick<EpochOptions, 'rows' | 'shuffle' | 'seed'> & { packing: PackingOptions }): Windows {
  const { lengths, windowLength } = packing
  if (lengths.length !== rows) fail('FT_INVALID_ARGUMENT', `packing needs a length for each of the ${rows} rows, got ${lengths.length}`)
  for (let row = 0; row < rows; row++) {
    const length = lengths[row] as number
    if (length > windowLength) fail('FT_INVALID_ARGUMENT', `row ${row} has ${length} tokens, a window holds ${windowLength}`)
  }
  return packWindows(shuffle ? shuffled(rows, randomStream(seed, packingKey)) : inOrder(rows), lengths, windowLength)
}

function windowsOf({ packing, ...options }: EpochOptions & { packing: PackingOptions | Windows }): Windows {
  return packing instanceof Windows ? packing : packRows({ ...options, packing })
}

/** `count` of the candidates, chosen by the seed, in ascending order. */
export function chooseValidation(candidates: readonly number[], count: number, seed: number): number[] {
  const order = shuffled(candidates.length, randomStream(seed, splitKey))
  return Array.from(order.subarray(0, count), (i) => candidates[i] as number).sort((a, b) => a - b)
}

/** Rows laid end to end, without padding. `rowIds` are the rows' places in their step, the keys of dropout. */
export function toBatch(rows: readonly EncodedRow[], rowIds: readonly number[] = rows.map((_, i) => i)): Required<NativeBatch> {
  if (rows.length === 0) fail('FT_INVALID_ARGUMENT', 'a batch needs at least one row')
  if (rowIds.length !== rows.length) fail('FT_INVALID_ARGUMENT', `a batch of ${rows.length} rows got ${rowIds.length} row ids`)
  const cuSeqlens = new Int32Array(rows.length + 1)
  // Read once: a row may lie in a file.
  const read = rows.map(({ inputIds, labels }) => ({ inputIds, labels }))
  read.forEach(({ inputIds, labels }, i) => {
    if (labels.length !== inputIds.length) fail('FT_INVALID_ARGUMENT', `row ${i} has ${inputIds.length} ids and ${labels.length} labels`)
    cuSeqlens[i + 1] = (cuSeqlens[i] as number) + inputIds.length
  })
  const tokens = cuSeqlens[rows.length] as number
  const batch = { inputIds: new Int32Array(tokens), labels: new Int32Array(tokens), cuSeqlens, rowIds: Int32Array.from(rowIds) }
  read.forEach(({ inputIds, labels }, i) => {
    batch.inputIds.set(inputIds, cuSeqlens[i])
    batch.labels.set(labels, cuSeqlens[i])
  })
  return batch
}
