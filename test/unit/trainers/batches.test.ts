// Batches of a run with windows that rows share, and of rows of like length: every token once an epoch, from any step on.
import { expect } from 'chai'
import { planEpoch, toBatch, type EncodedRow } from '../../../lib/data/index.js'
import { evaluationBatches, StepBatches, type BatchOptions } from '../../../lib/trainers/batches.js'

const backend = { planEpoch, toBatch }
const rows: EncodedRow[] = Array.from({ length: 37 }, (_, i) => {
  const inputIds = Int32Array.from({ length: 1 + ((i * 7) % 23) }, (_id, t) => 100 * i + t)
  return { inputIds, labels: inputIds.slice() }
})
const every = rows.flatMap(({ inputIds }) => [...inputIds]).sort((a, b) => a - b)
const base: BatchOptions = { batchSize: 2, accumulation: 2, shuffle: true, seed: 5 }

function epochOf(batches: StepBatches, epoch: number): number[] {
  const steps = Array.from({ length: batches.stepsPerEpoch }, (_, step) => batches.at(epoch * batches.stepsPerEpoch + step))
  return steps.flat().flatMap(({ inputIds }) => [...inputIds])
}

describe('batches', () => {
  const ways: Record<string, Partial<BatchOptions>> = {
    rows: {},
    'best-fit windows': { window: { length: 24, wrapped: false } },
    'wrapped windows': { window: { length: 24, wrapped: true } },
    'rows of like length': { groupByLength: true },
    'a shuffle window': { shuffleWindow: 8 },
    'windows and a shuffle window': { window: { length: 24, wrapped: false }, shuffleWindow: 3 },
  }
  for (const [name, way] of Object.entries(ways)) {
    it(`of ${name} hold every token once an epoch, and are the same from any step on`, () => {
      const batches = new StepBatches(backend, rows, { ...base, ...way })
      for (const epoch of [0, 1, 4]) expect(epochOf(batches, epoch).sort((a, b) => a - b)).to.deep.equal(every)
      expect(epochOf(batches, 0)).not.to.deep.equal(epochOf(batches, 1))
      for (const step of [0, 3, batches.stepsPerEpoch, 3 * batches.stepsPerEpoch + 1]) {
        expect(new StepBatches(backend, rows, { ...base, ...way }).at(step)).to.deep.equal(batches.at(step))
      }
      expect(Math.max(...Array.from({ length: 3 * batches.stepsPerEpoch }, (_, step) => batches.at(step)).flat().map(({ inputIds }) => inputIds.length))).to.be.at.most(batches.longestTokens())
    })
  }

  it('of wrapped windows are sequences of their own; of best-fit ones, rows', () => {
    const wrapped = new StepBatches(backend, rows, { ...base, batchSize: 1, accumulation: 1, window: { length: 24, wrapped: true } })
    expect(wrapped.stepsPerEpoch).to.equal(Math.ceil(every.length / 24))
    for (let step = 0; step < wrapped.stepsPerEpoch; step++) expect(wrapped.at(step)[0]!.cuSeqlens).to.have.lengthOf(2)
    const whole = new StepBatches(backend, rows, { ...base, batchSize: 1, accumulation: 1, window: { length: 24, wrapped: false } })
    const sequences = Array.from({ length: whole.stepsPerEpoch }, (_, step) => whole.at(step)[0]!.cuSeqlens.length - 1)
    expect(sequences.reduce((sum, count) => sum + count, 0)).to.equal(rows.length)
  })

  it('for evaluation hold every token once, whatever rows share', () => {
    for (const window of [undefined, { length: 24, wrapped: false }, { length: 24, wrapped: true }]) {
      const tokens = [...evaluationBatches(backend, rows, { batchSize: 3, window })].flatMap(({ inputIds }) => [...inputIds])
      expect(tokens.sort((a, b) => a - b)).to.deep.equal(every)
    }
  })
})
