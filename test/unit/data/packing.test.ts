// Rows that share windows: every row once an epoch, no window over its length, the same plan from the same keys.
import { expect } from 'chai'
import fc from 'fast-check'
import { packRows, planEpoch, wrapRows, type EncodedRow, type EpochOptions, type PackingOptions } from '../../../lib/data/index.js'
import { packWindows } from '../../../lib/data/packing.js'
import { randomStream } from '../../../lib/data/random.js'
import { failure, stepsOf } from './helpers.js'

const windowLength = 64
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

function windowsOf(order: readonly number[], lengths: readonly number[], length: number): number[][] {
  const windows = packWindows(order, lengths, length)
  return range(windows.length).map((window) => [...windows.rows(window)])
}

function lengthsOf(rows: number, seed: number): number[] {
  const next = randomStream(seed)
  return range(rows).map(() => 1 + (next() % windowLength))
}

function options(rows: number, changed: Partial<EpochOptions> = {}): EpochOptions {
  return { rows, batchSize: 2, accumulation: 2, shuffle: true, seed: 42, epoch: 0, packing: { lengths: lengthsOf(rows, 7), windowLength }, ...changed }
}

describe('packing', () => {
  it('puts the longest rows first, each into the window that it fills best', () => {
    // 10 alone; 6 and 4; 5 and 5.
    expect(windowsOf([0, 1, 2, 3, 4], [6, 5, 4, 5, 10], 10)).to.deep.equal([[0, 2], [1, 3], [4]])
    expect(windowsOf([4, 3, 2, 1, 0], [6, 5, 4, 5, 10], 10)).to.deep.equal([[4], [3, 1], [2, 0]])
    // 3 fits beside 6 and beside 7: beside 7 nothing is left.
    expect(windowsOf([0, 1, 2], [6, 3, 7], 10)).to.deep.equal([[0], [1, 2]])
    expect(windowsOf([], [], 10)).to.deep.equal([])
    expect(windowsOf([0, 1], [1, 1], 1)).to.deep.equal([[0], [1]])
  })

  it('finds the best room as a search through all of them would', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 97 }), { maxLength: 80 }), fc.integer({ min: 97, max: 3000 }), (lengths, window) => {
      const packed = windowsOf(range(lengths.length), lengths, window)
      const rooms: number[] = []
      for (const length of lengths.toSorted((a, b) => b - a)) {
        const fits = rooms.flatMap((room, i) => (room >= length ? [i] : []))
        if (fits.length === 0) rooms.push(window - length)
        else rooms[fits.reduce((a, b) => (rooms[b]! < rooms[a]! ? b : a))]! -= length
      }
      expect(packed.map((rows) => window - rows.reduce((sum, row) => sum + lengths[row]!, 0)).toSorted((a, b) => a - b)).to.deep.equal(rooms.toSorted((a, b) => a - b))
      expect(packed.flat().toSorted((a, b) => a - b)).to.deep.equal(range(lengths.length))
      expect(packed.map((rows) => rows[0])).to.deep.equal(packed.map((rows) => rows[0]).toSorted((a, b) => a! - b!))
    }))
  })

  it('takes every row once an epoch, and fills no window beyond its length', () => {
    for (const rows of [1, 2, 5, 40, 700]) {
      const lengths = lengthsOf(rows, 7)
      for (const [batchSize, accumulation] of [[1, 1], [2, 2], [8, 1]] as const) {
        for (const epoch of [0, 1, 5]) {
          const steps = stepsOf(options(rows, { batchSize, accumulation, epoch }))
          expect(steps.flat(2).toSorted((a, b) => a - b)).to.deep.equal(range(rows))
          for (const micro of steps.flat()) expect(micro.reduce((sum, row) => sum + (lengths[row] ?? 0), 0)).to.be.at.most(batchSize * windowLength)
        }
      }
      for (const micro of stepsOf(options(rows, { batchSize: 1 })).flat()) {
        expect(micro.reduce((sum, row) => sum + (lengths[row] ?? 0), 0)).to.be.within(1, windowLength)
      }
    }
  })

  it('fills short rows tightly', () => {
    const lengths = lengthsOf(5000, 3).map((length) => Math.ceil(length / 8))
    const windows = stepsOf(options(5000, { packing: { lengths, windowLength }, batchSize: 1, accumulation: 1 })).length
    expect(lengths.reduce((sum, length) => sum + length, 0) / (windows * windowLength)).to.be.greaterThan(0.995)
  })

  it('has the same number of steps in every epoch, in another order', () => {
    const plans = range(6).map((epoch) => stepsOf(options(300, { epoch })))
    expect(new Set(plans.map((steps) => steps.length)).size).to.equal(1)
    expect(new Set(plans.map((steps) => JSON.stringify(steps))).size).to.equal(6)
  })

  it('repeats for the same keys, and changes with the seed; without shuffling it keeps the order of the files', () => {
    expect(stepsOf(options(50, { epoch: 3 }))).to.deep.equal(stepsOf(options(50, { epoch: 3 })))
    expect(stepsOf(options(50, { seed: 43 }))).not.to.deep.equal(stepsOf(options(50)))
    const inOrder = stepsOf(options(50, { shuffle: false, batchSize: 1, accumulation: 1 })).map((step) => step.flat())
    expect(inOrder).to.deep.equal(windowsOf(range(50), lengthsOf(50, 7), windowLength))
    // Written down: a resumed run repeats it, in every version.
    const packing = { lengths: [10, 50, 20, 30, 40, 14, 24, 60], windowLength }
    expect(stepsOf(options(8, { batchSize: 1, accumulation: 1, packing })).map((step) => step.flat())).to.deep.equal([[3, 5, 2], [6, 4], [0, 1], [7]])
  })

  it('is packed once for all epochs, with the same windows', () => {
    const { packing, ...rest } = options(50)
    const windows = packRows({ ...rest, packing: packing as PackingOptions })
    for (const epoch of [0, 3]) expect(stepsOf({ ...rest, epoch, packing: windows })).to.deep.equal(stepsOf(options(50, { epoch })))
    expect(planEpoch(options(50)).at(windows.length)).to.equal(undefined)
  })

  it('gives a step the same rows however it is split', () => {
    const rows = (batchSize: number, accumulation: number): number[][] => stepsOf(options(200, { batchSize, accumulation })).map((step) => step.flat())
    expect(rows(1, 8)).to.deep.equal(rows(8, 1))
    expect(rows(2, 4)).to.deep.equal(rows(8, 1))
  })

  it('refuses rows that no window holds, and lengths of other rows', async () => {
    const tooLong = await failure(() => planEpoch(options(2, { packing: { lengths: [3, windowLength + 1], windowLength } })), 'FT_INVALID_ARGUMENT')
    expect(tooLong.message).to.include('row 1 has 65 tokens')
    await failure(() => planEpoch(options(3, { packing: { lengths: [1], windowLength } })), 'FT_INVALID_ARGUMENT')
  })
})

describe('wrapped windows', () => {
  const row = (ids: number[]): EncodedRow => ({ inputIds: Int32Array.from(ids), labels: Int32Array.from(ids, (id) => (id % 3 === 0 ? -100 : id)) })
  const rowsOf = fc.array(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 30 })

  it('hold every token and label once, in the order of the rows', () => {
    fc.assert(fc.property(rowsOf, fc.integer({ min: 2, max: 40 }), (texts, length) => {
      const windows = wrapRows(texts.map(row), { windowLength: length, shuffle: false, seed: 1 })
      expect(windows.flatMap(({ inputIds }) => [...inputIds])).to.deep.equal(texts.flat())
      expect(windows.flatMap(({ labels }) => [...labels])).to.deep.equal(texts.flatMap((ids) => [...row(ids).labels]))
      for (const [i, { inputIds }] of windows.entries()) expect(inputIds.length).to.equal(i < windows.length - 1 ? length : texts.flat().length - length * (windows.length - 1))
    }))
  })

  it('are shuffled by the seed, rows staying whole', () => {
    const rows = range(40).map((i) => row([i + 1, 500 + i]))
    const order = (seed: number): number[] => wrapRows(rows, { windowLength: 7, shuffle: true, seed }).flatMap(({ inputIds }) => [...inputIds]).filter((id) => id < 500)
    expect(order(3)).to.deep.equal(order(3)).and.not.to.deep.equal(order(4))
    expect(order(3).toSorted((a, b) => a - b)).to.deep.equal(range(40).map((i) => i + 1))
  })
})
