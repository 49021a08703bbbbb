// Which rows make up each optimizer step of an epoch, and micro-batches for the engine.
import { fail } from '../core/errors/index.js'
import type { NativeBatch } from '../native/binding.js'
import { randomStream, shuffled } from './random.js'
import type { EncodedRow } from './types.js'

export interface EpochOptions {
  /** How many there are. */
  rows: number
  /** Rows of a micro-batch. */
  batchSize: number
  /** Micro-batches of a step. */
  accumulation: number
  /** false: the order of the files. */
  shuffle: boolean
  seed: number
  epoch: number
}

export interface EpochPlan {
  /** step → micro-batch → row indices */
  steps: number[][][]
}

const orderKey = 1
const splitKey = 2

/**
 * A pure function of its options: a run resumes at (epoch, step) without what came before. The last micro-batch
 * and the last step may be smaller: ceil(ceil(rows / batchSize) / accumulation) steps. The rows of a step do not
 * depend on how batchSize × accumulation is split.
 */
export function planEpoch({ rows, batchSize, accumulation, shuffle, seed, epoch }: EpochOptions): EpochPlan {
  if (!Number.isInteger(batchSize) || batchSize < 1 || !Number.isInteger(accumulation) || accumulation < 1) {
    fail('FT_INVALID_ARGUMENT', `batch size ${batchSize} × accumulation ${accumulation}: both must be integers of 1 or more`)
  }
  const order = shuffle ? shuffled(rows, randomStream(seed, orderKey, epoch)) : Array.from({ length: rows }, (_, i) => i)
  const steps: number[][][] = []
  for (let start = 0; start < rows; ) {
    const step: number[][] = []
    for (let micro = 0; micro < accumulation && start < rows; micro++, start += batchSize) step.push(order.slice(start, start + batchSize))
    steps.push(step)
  }
  return { steps }
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
