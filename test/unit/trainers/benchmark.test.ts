// benchmark: steps as a run takes them, and the largest batch from measured growth. On the tiny engine, with a memory of
// its own.
import { expect } from 'chai'
import fs from 'node:fs/promises'
import { benchmark, TrainerFactory } from '../../../lib/trainers/index.js'
import { BatchSearch } from '../../../lib/trainers/benchmark/largest-batch.js'
import { spreadOf } from '../../../lib/trainers/benchmark/report.js'
import { tinyBackend, type TinyOptions } from './tiny-engine.js'
import { failsWith, Workspace } from './workspace.js'

const MiB = 2 ** 20

describe('the search for the largest batch', () => {
  const options = { tokensEach: 100, capacityBytes: 1000 * MiB, limit: 'free memory' as const, estimateBytes: (rows: number) => rows * 10 * MiB }

  function search(peakOf: (rows: number) => number, changed: Partial<typeof options> = {}, secondsLeft = 100): { tried: number[]; result: ReturnType<BatchSearch['result']> } {
    const finder = new BatchSearch({ ...options, ...changed })
    const tried: number[] = []
    for (let rows = finder.next(secondsLeft); rows !== null; rows = finder.next(secondsLeft)) {
      tried.push(rows)
      finder.add(rows, peakOf(rows), rows)
    }
    return { tried, result: finder.result() }
  }

  it('extrapolates what each row takes to 95 % of the limit', () => {
    const { tried, result } = search((rows) => (100 + 20 * rows) * MiB)
    expect(tried).to.deep.equal([1, 2, 4])
    expect(result).to.deep.include({ batch_size: 42, exact: true, bytes_each: 20 * MiB, limit_bytes: 1000 * MiB })
    expect(result.how).to.include('1, 2 and 4').and.include('20.0 MiB').and.include('free memory')
  })

  it('goes on while growth is hidden by what loading took, or not yet even', () => {
    // Loading held 300 MiB at its peak, more than batches below 12 rows do.
    const hidden = (rows: number): number => Math.max(300, 60 + 20 * rows) * MiB
    expect(search(hidden).result).to.include({ exact: false, batch_size: 32 })
    const { tried, result } = search(hidden, { capacityBytes: 10_000 * MiB })
    expect(tried).to.deep.equal([1, 2, 4, 8, 16, 32, 64])
    expect(result).to.include({ exact: true, bytes_each: 20 * MiB, batch_size: (9500 - 60) / 20 })
    expect(search((rows) => (100 + 4 * rows + 15 * Math.log2(rows)) * MiB).result.bytes_each).to.be.within(4 * MiB, 6 * MiB)
  })

  it('never tries what may come near the limit', () => {
    const peaks: number[] = []
    const { result } = search((rows) => {
      peaks.push((600 + 30 * rows) * MiB)
      return (600 + 30 * rows) * MiB
    })
    expect(Math.max(...peaks)).to.be.below(700 * MiB)
    expect(result).to.include({ exact: false, batch_size: 2, bytes_each: null })
    expect(search(() => 0, { estimateBytes: () => 800 * MiB })).to.deep.include({ tried: [] })
    expect(search(() => 0, { estimateBytes: () => 800 * MiB }).result).to.include({ batch_size: null })
  })

  it('tries none that would take longer than there is time', () => {
    // Each row takes a second.
    expect(search((rows) => (100 + 20 * rows) * MiB, {}, 3).tried).to.deep.equal([1, 2])
  })

  it('stops at batches that nobody needs', () => {
    expect(Math.max(...search(() => 0, { capacityBytes: 2 ** 50 }, 1e6).tried)).to.equal(1024)
  })
})

describe('benchmark', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())

  /** A peak that grows clearly with every trial. */
  const growing = (): (() => number) => {
    let trials = 0
    return () => 1e8 + 2 ** trials++ * 20 * MiB
  }
  const phases = { forwardSeconds: 0.25, backwardSeconds: 0.5, optimizerSeconds: 0.125 }

  it('times the steps after the warm-up, and leaves nothing', async () => {
    const steps: number[] = []
    const done: [number, number][] = []
    const options: TinyOptions = { rows: 6, memory: 1e9, step: ({ step }) => (steps.push(step), phases) }
    const backend = tinyBackend(options)
    const report = await benchmark(space.config('out', { batchSize: 2 }), { backend, steps: 3, randomRows: false, peakBytes: growing(), onStep: (at, total) => void done.push([at, total]) })
    expect(report).to.include({ kind: 'benchmark', method: 'lora', steps: 3, warmup_steps: 2, skipped_steps: 0, batch_size: 2 })
    expect(report.rows).to.include({ source: 'data', count: 6 })
    expect(report.phases).to.deep.include({ forward_seconds: 0.25, backward_seconds: 0.5, optimizer_seconds: 0.125 })
    expect(report.tokens_per_second.median).to.be.within(report.tokens_per_second.min, report.tokens_per_second.max)
    expect(report.memory.peak_rss_bytes).to.be.greaterThan(1e8)
    expect(done).to.deep.equal([1, 2, 3, 4, 5].map((at) => [at, 5]))
    // Every step has its own key of dropout.
    expect(steps).to.deep.equal(steps.map((_step, index) => index))
    expect(await fs.readdir(space.root)).to.deep.equal(['model'])
    expect(backend.models.every((model) => model.disposed)).to.equal(true)
  })

  it('reports the peak of the batches that were asked for, not of larger trials', async () => {
    let tokens = 0
    const backend = tinyBackend({ memory: 1e9 })
    const { toBatch } = backend
    backend.toBatch = (...args) => {
      const batch = toBatch(...args)
      tokens = Math.max(tokens, batch.inputIds.length)
      return batch
    }
    const peakBytes = (): number => 2e8 + tokens * MiB
    const report = await benchmark(space.config('out', { batchSize: 2 }), { backend, steps: 2, randomRows: true, peakBytes })
    expect(report.rows).to.deep.equal({ source: 'random', count: 8, longest_tokens: 1024 })
    expect(report.tokens_per_step).to.deep.equal({ median: 2048, min: 2048, max: 2048 })
    expect(report.memory.peak_rss_bytes).to.equal(2e8 + 2048 * MiB)
    expect(report.phases).to.equal(null)
    expect(report.largest_batch.measured[0]).to.deep.equal({ batch_size: 1, peak_rss_bytes: 2e8 + 1024 * MiB })
  })

  it('counts windows with packing', async () => {
    const config = space.config('out', { batchSize: 1 })
    const packed = { ...config, tokenization: { ...config.tokenization, packing: true, maxSeqLength: 16 } }
    const report = await benchmark(packed, { backend: tinyBackend({ rows: 40 }), steps: 2, randomRows: false, peakBytes: growing() })
    expect(report.largest_batch.tokens_each).to.equal(16)
    expect(report.tokens_per_step.max).to.be.within(9, 16)
  })

  it('counts steps that are not finite, and refuses what cannot fit', async () => {
    const bad = tinyBackend({ step: () => ({ applied: false, skipped: 'loss_not_finite' }) })
    expect(await benchmark(space.config('out'), { backend: bad, steps: 2, randomRows: false, peakBytes: growing() })).to.include({ skipped_steps: 2 })
    const error = await failsWith('FT_OUT_OF_MEMORY', 8, benchmark(space.config('out'), { backend: tinyBackend({ memory: 10 }), steps: 2, randomRows: true }))
    expect(error.details).to.include({ availableBytes: 10 })
  })

  it('refuses a trainer that has no parts to measure', async () => {
    TrainerFactory.register('opaque', class { train = () => Promise.reject(new Error('not called')) })
    await failsWith('FT_INCOMPATIBLE_CONFIG', 2, benchmark(space.config('out', { method: 'opaque' }), { steps: 1, randomRows: true }))
  })

  it('has medians of odd and even counts', () => {
    expect(spreadOf([3, 1, 2])).to.deep.equal({ median: 2, min: 1, max: 3 })
    expect(spreadOf([4, 1, 2, 3])).to.deep.equal({ median: 2.5, min: 1, max: 4 })
  })
})
