// The order of rows, the make-up of steps, and batches: pure functions of their options.
import { expect } from 'chai'
import fc from 'fast-check'
import { planEpoch, toBatch, type EpochOptions } from '../../../lib/data/index.js'
import { randomStream, shuffled } from '../../../lib/data/random.js'
import { failure, stepsOf } from './helpers.js'

const options: EpochOptions = { rows: 23, batchSize: 4, accumulation: 2, shuffle: true, seed: 42, epoch: 0 }
const order = (changed: Partial<EpochOptions> = {}): number[] => stepsOf({ ...options, ...changed }).flat(2)
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

describe('planEpoch', () => {
  it('takes every row once, and keeps a last part', () => {
    for (const rows of [1, 3, 4, 7, 8, 9, 16, 23]) {
      for (const [batchSize, accumulation] of [[1, 1], [4, 2], [8, 1], [3, 5]] as const) {
        const steps = stepsOf({ ...options, rows, batchSize, accumulation })
        expect(steps.length).to.equal(Math.ceil(Math.ceil(rows / batchSize) / accumulation))
        expect(steps.flat(2).toSorted((a, b) => a - b)).to.deep.equal(range(rows))
        expect(steps.flat().every((micro) => micro.length > 0 && micro.length <= batchSize)).to.equal(true)
        expect(steps.every((step) => step.length <= accumulation)).to.equal(true)
      }
    }
    expect(stepsOf({ ...options, rows: 0 })).to.deep.equal([])
  })

  it('repeats for the same seed and epoch, and changes with either', () => {
    expect(order()).to.deep.equal(order())
    for (const changed of [{ epoch: 1 }, { seed: 43 }, { seed: -42 }, { seed: 42 + 2 ** 32 }, { seed: 0 }]) expect(order(changed)).not.to.deep.equal(order())
    expect(order({ shuffle: false })).to.deep.equal(range(23))
    // Written down: the order is part of what a resumed run repeats, in every version.
    expect(order({ rows: 8 })).to.deep.equal([2, 6, 5, 7, 3, 1, 4, 0])
  })

  it('gives a step the same rows however it is split', () => {
    const one = stepsOf({ ...options, batchSize: 8, accumulation: 1 }).map((step) => step.flat())
    for (const [batchSize, accumulation] of [[4, 2], [2, 4], [1, 8]] as const) {
      expect(stepsOf({ ...options, batchSize, accumulation }).map((step) => step.flat())).to.deep.equal(one)
    }
  })

  it('shuffles evenly', () => {
    // 24 orders of 4 rows, 24000 times: chi-squared with 23 degrees of freedom is below 50 but for one time in a thousand.
    const counts = new Map<string, number>()
    for (let epoch = 0; epoch < 24_000; epoch++) {
      const key = order({ rows: 4, epoch }).join('')
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    const chi = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
    expect(counts.size).to.equal(24)
    expect(chi).to.be.lessThan(50)
    expect(new Set(shuffled(1000, randomStream(1))).size).to.equal(1000)
  })

  it('shuffles inside stretches where it is told to, and resumes in any of them', () => {
    const windowed = order({ rows: 23, shuffleWindow: 5, epoch: 2 })
    for (let begin = 0; begin < 23; begin += 5) {
      expect(windowed.slice(begin, begin + 5).toSorted((a, b) => a - b)).to.deep.equal(range(23).slice(begin, begin + 5))
      // A stretch is the same in a longer stream: it depends on where it begins, on seed and epoch.
      if (begin + 5 <= 23) expect(order({ rows: 100, shuffleWindow: 5, epoch: 2 }).slice(begin, begin + 5)).to.deep.equal(windowed.slice(begin, begin + 5))
    }
    expect(windowed).not.to.deep.equal(order({ rows: 23, shuffleWindow: 5, epoch: 3 }))
    expect(order({ rows: 23, shuffleWindow: 23 })).to.deep.equal(order())
  })

  it('gives ranks rows of their own, and together those of one process, in every order and at any step', () => {
    const lengths = range(60).map((row) => 1 + ((row * 7) % 11))
    const orders = fc.constantFrom<(rows: number) => Partial<EpochOptions>>(
      () => ({}), () => ({ shuffle: false }), () => ({ shuffleWindow: 7 }), (rows) => ({ groupByLength: lengths.slice(0, rows) }), (rows) => ({ packing: { lengths: lengths.slice(0, rows), windowLength: 13 } }),
    )
    fc.assert(fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4 }), orders, (rows, batchSize, accumulation, world, order) => {
      const shared = { ...options, rows, batchSize, ...order(rows) }
      const ranks = range(world).map((rank) => stepsOf({ ...shared, accumulation, rank, world }))
      const alone = stepsOf({ ...shared, accumulation: accumulation * world })
      expect(alone.flat(2).toSorted((a, b) => a - b)).to.deep.equal(range(rows))
      ranks.forEach((steps, rank) => {
        // A plan made anew, asked for one step alone: what a resumed process does.
        const at = (rows * 31 + rank) % steps.length
        expect(planEpoch({ ...shared, accumulation, rank, world }).at(at)).to.deep.equal(steps[at])
      })
      for (const steps of ranks) expect(steps.length).to.equal(alone.length)
      alone.forEach((step, i) => {
        const together = ranks.flatMap((steps) => steps[i]!.flat())
        expect(new Set(together).size).to.equal(together.length)
        expect(together.toSorted((a, b) => a - b)).to.deep.equal(step.flat().toSorted((a, b) => a - b))
      })
    }))
  })

  it('lets rows of like length meet, each once, otherwise in every epoch', () => {
    const next = randomStream(9)
    const lengths = range(1000).map(() => 1 + (next() % 500))
    const grouped = (epoch: number) => stepsOf({ ...options, rows: 1000, groupByLength: lengths, epoch })
    const spread = (steps: number[][][]): number => steps.reduce((sum, step) => sum + Math.max(...step.flat().map((row) => lengths[row]!)) - Math.min(...step.flat().map((row) => lengths[row]!)), 0) / steps.length
    expect(grouped(0).flat(2).toSorted((a, b) => a - b)).to.deep.equal(range(1000))
    expect(spread(grouped(0))).to.be.lessThan(spread(stepsOf({ ...options, rows: 1000 })) / 10)
    expect(grouped(0)).to.deep.equal(grouped(0)).and.not.to.deep.equal(grouped(1))
    const heads = grouped(0).slice(0, 20).map((step) => lengths[step.flat()[0]!]!)
    expect(heads).not.to.deep.equal(heads.toSorted((a, b) => b - a))
  })

  it('refuses sizes that are not', async () => {
    for (const changed of [{ batchSize: 0 }, { accumulation: 0 }, { batchSize: 1.5 }, { rank: 1 }, { rank: -1, world: 2 }, { world: 0 }, { shuffleWindow: 0 }, { groupByLength: [1] }]) await failure(() => planEpoch({ ...options, ...changed }), 'FT_INVALID_ARGUMENT')
  })
})

describe('toBatch', () => {
  const row = (...ids: number[]): { inputIds: Int32Array; labels: Int32Array } => ({ inputIds: Int32Array.from(ids), labels: Int32Array.from(ids.map((id) => -id)) })

  it('lays rows end to end', () => {
    const batch = toBatch([row(1, 2, 3), row(4), row(5, 6)], [7, 0, 3])
    expect([...batch.inputIds]).to.deep.equal([1, 2, 3, 4, 5, 6])
    expect([...batch.labels]).to.deep.equal([-1, -2, -3, -4, -5, -6])
    expect([...batch.cuSeqlens]).to.deep.equal([0, 3, 4, 6])
    expect([...batch.rowIds]).to.deep.equal([7, 0, 3])
    expect([...toBatch([row(1), row(2)]).rowIds]).to.deep.equal([0, 1])
  })

  it('refuses what does not fit together', async () => {
    await failure(() => toBatch([]), 'FT_INVALID_ARGUMENT')
    await failure(() => toBatch([row(1)], [1, 2]), 'FT_INVALID_ARGUMENT')
    await failure(() => toBatch([{ inputIds: Int32Array.of(1, 2), labels: Int32Array.of(1) }]), 'FT_INVALID_ARGUMENT')
  })
})
