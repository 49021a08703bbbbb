// Which rows make up each optimizer step of an epoch, and micro-batches for the engine.
import { fail } from '../core/errors/index.js'
import type { NativeBatch } from '../native/binding.js'
import { packWindows } from './packing.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { randomStream, shuffled } from './random.js'
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
  /** Rows share windows: see packWindows. */
  packing?: PackingOptions
}

const epochNames: OptionNames<EpochOptions> = { rows: true, batchSize: true, accumulation: true, shuffle: true, seed: true, epoch: true, packing: true }

export interface PackingOptions {
  /** Tokens of each row. */
  lengths: ArrayLike<number>
  /** Tokens that a window holds. */
  windowLength: number
}

export interface EpochPlan {
  /** step → micro-batch → row indices */
  steps: number[][][]
}

const orderKey = 1
const splitKey = 2
const packingKey = 3

/**
 * A pure function of its options: a run resumes at (epoch, step) without what came before. The last micro-batch
 * and the last step may be smaller: ceil(ceil(units / batchSize) / accumulation) steps, where a unit is a row, or a
 * window with packing. The rows of a step do not depend on how batchSize × accumulation is split.
 */
export function planEpoch(options: EpochOptions): EpochPlan {
  checkOptions('planEpoch', options, epochNames)
  const { batchSize, accumulation, shuffle, seed, epoch } = options
  if (!Number.isInteger(batchSize) || batchSize < 1 || !Number.isInteger(accumulation) || accumulation < 1) {
    fail('FT_INVALID_ARGUMENT', `batch size ${batchSize} × accumulation ${accumulation}: both must be integers of 1 or more`)
  }
  const windows = options.packing === undefined ? null : planWindows({ ...options, packing: options.packing })
  const units = windows === null ? options.rows : windows.length
  const order = shuffle ? shuffled(units, randomStream(seed, orderKey, epoch)) : inOrder(units)
  const steps: number[][][] = []
  for (let start = 0; start < units; ) {
    const step: number[][] = []
    for (let micro = 0; micro < accumulation && start < units; micro++, start += batchSize) {
      const taken = order.slice(start, start + batchSize)
      step.push(windows === null ? taken : taken.flatMap((window) => windows[window] ?? []))
    }
    steps.push(step)
  }
  return { steps }
}

/**
 * The rows of every window. They depend on the seed and not on the epoch: all epochs then have the same number of
 * steps, so that a step's place in the data is a division and not a walk through earlier epochs. What changes by the
 * epoch is which windows meet in a step.
 */
function planWindows({ rows, shuffle, seed, packing }: Pick<EpochOptions, 'rows' | 'shuffle' | 'seed'> & { packing: PackingOptions }): number[][] {
  const { lengths, windowLength } = packing
  if (lengths.length !== rows) fail('FT_INVALID_ARGUMENT', `packing needs a length for each of the ${rows} rows, got ${lengths.length}`)
  for (let row = 0; row < rows; row++) {
    const length = lengths[row] as number
    if (length > windowLength) fail('FT_INVALID_ARGUMENT', `row ${row} has ${length} tokens, a window holds ${windowLength}`)
  }
  return packWindows(shuffle ? shuffled(rows, randomStream(seed, packingKey)) : inOrder(rows), lengths, windowLength)
}

function inOrder(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}

/** `count` of the candidates, chosen by the seed, in ascending order. */
export function chooseValidation(candidates: readonly number[], count: number, seed: number): number[] {
  const order = shuffled(candidates.length, randomStream(seed, splitKey))
  return order.slice(0, count).map((i) => candidates[i] as number).sort((a, b) => a - b)
}

/** Rows laid end to end, without padding. `rowIds` are the rows' places in their step, the keys of dropout. */
export function toBatch(rows: readonly EncodedRow[], rowIds: readonly number[] = rows.map((_, i) => i)): Required<NativeBatch> {
  if (rows.length === 0) fail('FT_INVALID_ARGUMENT', 'a batch needs at least one row')
  if (rowIds.length !== rows.length) fail('FT_INVALID_ARGUMENT', `a batch of ${rows.length} rows got ${rowIds.length} row ids`)
  const cuSeqlens = new Int32Array(rows.length + 1)
  rows.forEach(({ inputIds, labels }, i) => {
    if (labels.length !== inputIds.length) fail('FT_INVALID_ARGUMENT', `row ${i} has ${inputIds.length} ids and ${labels.length} labels`)
    cuSeqlens[i + 1] = (cuSeqlens[i] as number) + inputIds.length
  })
  const tokens = cuSeqlens[rows.length] as number
  const batch = { inputIds: new Int32Array(tokens), labels: new Int32Array(tokens), cuSeqlens, rowIds: Int32Array.from(rowIds) }
  rows.forEach(({ inputIds, labels }, i) => {
    batch.inputIds.set(inputIds, cuSeqlens[i])
    batch.labels.set(labels, cuSeqlens[i])
  })
  return batch
}
