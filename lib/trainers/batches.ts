// The micro-batches of each optimizer step: a pure function of rows, seed and step number, so that a run can begin
// anywhere. Plans of at most two epochs are kept.
import type { EncodedRow, EpochOptions } from '../data/index.js'
import type { Batch, TrainingBackend } from './engine.js'
import { cursorAt, type RunPlan } from './run-plan.js'

export class StepBatches {
  readonly #backend: Pick<TrainingBackend, 'planEpoch' | 'toBatch'>
  readonly #rows: readonly EncodedRow[]
  readonly #options: Omit<EpochOptions, 'epoch'>
  readonly #plan: RunPlan
  readonly #epochs = new Map<number, number[][][]>()

  constructor(backend: Pick<TrainingBackend, 'planEpoch' | 'toBatch'>, rows: readonly EncodedRow[], options: Omit<EpochOptions, 'epoch' | 'rows'>, plan: RunPlan) {
    this.#backend = backend
    this.#rows = rows
    this.#options = { ...options, rows: rows.length }
    this.#plan = plan
  }

  /** Micro-batches of the step that follows `globalStep` done ones. */
  at(globalStep: number): Batch[] {
    const { epoch, stepInEpoch } = cursorAt(globalStep, this.#plan)
    const microBatches = this.#epoch(epoch)[stepInEpoch] ?? []
    // A row's key is its place in the step whatever the split into micro-batches: dropout must not depend on it.
    const order = microBatches.flat().sort((a, b) => a - b)
    const place = new Map(order.map((row, index) => [row, index]))
    return microBatches.map((rows) => this.#backend.toBatch(rows.map((row) => this.#row(row)), rows.map((row) => place.get(row) ?? 0)))
  }

  #epoch(epoch: number): number[][][] {
    const known = this.#epochs.get(epoch)
    if (known !== undefined) return known
    const planned = this.#backend.planEpoch({ ...this.#options, epoch })
    for (const older of this.#epochs.keys()) if (older < epoch - 1 || older > epoch) this.#epochs.delete(older)
    this.#epochs.set(epoch, planned)
    return planned
  }

  #row(index: number): EncodedRow {
    const row = this.#rows[index]
    if (row === undefined) throw new RangeError(`row ${index} of ${this.#rows.length}`)
    return row
  }
}

/** The rows in order, `batchSize` at a time. */
export function* evaluationBatches(backend: Pick<TrainingBackend, 'toBatch'>, rows: readonly EncodedRow[], batchSize: number): Generator<Batch> {
  for (let start = 0; start < rows.length; start += batchSize) {
    const part = rows.slice(start, start + batchSize)
    yield backend.toBatch(part, part.map((_row, index) => index))
  }
}

/** The heaviest micro-batch that any shuffle can make: the longest rows together. */
export function longestBatch(backend: Pick<TrainingBackend, 'toBatch'>, rows: readonly EncodedRow[], batchSize: number): Batch {
  const longest = [...rows].sort((a, b) => b.inputIds.length - a.inputIds.length).slice(0, batchSize)
  return backend.toBatch(longest, longest.map((_row, index) => index))
}

export function longestBatchTokens(rows: readonly EncodedRow[], batchSize: number): number {
  const lengths = rows.map((row) => row.inputIds.length).sort((a, b) => b - a)
  return lengths.slice(0, batchSize).reduce((sum, length) => sum + length, 0)
}
