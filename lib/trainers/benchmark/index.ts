// How fast this machine trains this model: steps as a run takes them, timed after a warm-up, and the memory they take. It is
// prepared like a run, so what is measured is what `train` with the same configuration does; nothing is written to disk.
import os from 'node:os'
import path from 'node:path'
import type { ResolvedConfig } from '../../core/config/index.js'
import { rowLength } from '../../data/index.js'
import { randomStream } from '../../data/random.js'
import { getLogger } from '../../utils/logging.js'
import type { Batch, StepOutcome, TrainingBackend, TrainingMemory } from '../engine.js'
import { prepareRun, sharedWindowOf, type Cleanup, type PreparedRun, type Recipe } from '../prepare.js'
import { peakRssBytes } from '../reporter.js'
import { microBatches } from '../summary.js'
import { BatchSearch } from './largest-batch.js'
import { randomRow, withRandomRows } from './random-rows.js'
import { spreadOf, type BenchmarkReport } from './report.js'

export type { BenchmarkReport, LargestBatch, Spread } from './report.js'

export interface BenchmarkOptions {
  /** Steps that are timed. */
  steps: number
  /** Rows of random tokens instead of the configuration's data. */
  randomRows: boolean
  /** Default 2. */
  warmupSteps?: number
  onStep?: (done: number, total: number) => void
  /** Of this process; for tests. */
  peakBytes?: () => number
}

/** What trials of larger batches may take, if the timed steps took less. */
const leastTrialSeconds = 5

interface TimedStep {
  seconds: number
  dataSeconds: number
  outcome: StepOutcome
}

/** Errors: those of preparing a run, FT_OUT_OF_MEMORY before anything is loaded among them. */
export async function benchmarkTraining(config: ResolvedConfig, recipe: Recipe, backend: TrainingBackend, options: BenchmarkOptions): Promise<BenchmarkReport> {
  const cleanup: Cleanup = []
  try {
    const source = options.randomRows ? withRandomRows(backend) : backend
    return await new Benchmark(await prepareRun({ config: withoutOutput(config), recipe, backend: source, dryRun: true, cleanup }), options).measure()
  } finally {
    for (const undo of cleanup.reverse()) await undo()
  }
}

/** A folder that is never made stands for the output: what the configured one holds does not matter here. */
function withoutOutput(config: ResolvedConfig): ResolvedConfig {
  return { ...config, training: { ...config.training, resume: false, outputDir: path.join(os.tmpdir(), `ft-native-benchmark-${process.pid}`) } }
}

class Benchmark {
  readonly #run: PreparedRun
  readonly #options: Required<Pick<BenchmarkOptions, 'steps' | 'randomRows' | 'warmupSteps' | 'peakBytes'>> & Pick<BenchmarkOptions, 'onStep'>
  readonly #search: BatchSearch
  readonly #loadedBytes = process.memoryUsage.rss()
  readonly #longestRow: number
  /** Tokens of a row, or of a window with packing: what batch_size counts. */
  readonly #tokensEach: number
  /** Optimizer steps so far, of every kind. */
  #step = 0
  #firstStepSeconds = 0

  constructor(run: PreparedRun, options: BenchmarkOptions) {
    this.#run = run
    this.#options = { warmupSteps: 2, peakBytes: peakRssBytes, ...options }
    this.#longestRow = run.data.train.reduce((longest, row) => Math.max(longest, rowLength(row)), 0)
    this.#tokensEach = sharedWindowOf(run.config)?.length ?? this.#longestRow
    const available = run.backend.memoryAvailable(run.source.device)
    this.#search = new BatchSearch({
      tokensEach: this.#tokensEach,
      capacityBytes: this.#loadedBytes + available,
      // Node's free memory is what the whole machine has; a container's or the process's own limit is lower.
      limit: available < 0.98 * os.freemem() ? 'container' : 'free memory',
      estimateBytes: (rows) => stepBytes(run.memory.estimateRows(Array.from({ length: rows }, () => this.#tokensEach))),
    })
  }

  async measure(): Promise<BenchmarkReport> {
    const heaviest = this.#run.batches.longestTokens()
    // Smaller batches first: the peak that is reported is then that of the batches that were asked for.
    await this.#tryBatches(Infinity, (rows) => rows * this.#tokensEach < heaviest)
    const start = performance.now()
    const steps = await this.#timedSteps()
    const peak = this.#options.peakBytes()
    await this.#tryBatches(Math.max(leastTrialSeconds, (performance.now() - start) / 1000))
    return this.#report(steps, peak)
  }

  /** As the training loop: the next step's batches are made while the engine works. */
  async #timedSteps(): Promise<TimedStep[]> {
    const { batches } = this.#run
    const { steps, warmupSteps, onStep } = this.#options
    const total = warmupSteps + steps
    const timed: TimedStep[] = []
    let ready = this.#batches(0)
    for (let index = 0; index < total; index++) {
      const start = performance.now()
      const { dataSeconds } = ready
      const working = this.#take(ready.batches)
      // The error of the step is the one to report.
      working.catch(() => undefined)
      if (index + 1 < total) ready = this.#batches(index + 1)
      const outcome = await working
      const step = { seconds: (performance.now() - start) / 1000, dataSeconds, outcome }
      if (index >= warmupSteps) timed.push(step)
      onStep?.(index + 1, total)
    }
    if (batches.stepsPerEpoch < total) getLogger().debug(`the rows are enough for ${batches.stepsPerEpoch} steps: they are used again`)
    return timed
  }

  #batches(index: number): { batches: Batch[]; dataSeconds: number } {
    const start = performance.now()
    const batches = this.#run.batches.at(index)
    return { batches, dataSeconds: (performance.now() - start) / 1000 }
  }

  async #take(batches: Batch[]): Promise<StepOutcome> {
    const { recipe, model, optimizer, config, memory } = this.#run
    const { learningRate, maxGradNorm, seed } = config.training
    const outcome = await recipe.objective.step(model, optimizer, batches, { learningRate, maxGradNorm, seed, step: this.#step, gradientCheckpointing: memory.checkpointedLayers })
    if (this.#step === 0) this.#firstStepSeconds = process.uptime()
    this.#step += 1
    return outcome
  }

  async #tryBatches(seconds: number, wanted: (rows: number) => boolean = () => true): Promise<void> {
    // What a GPU holds is not in the resident set of the process.
    if (this.#run.source.device.startsWith('cuda')) return
    const end = performance.now() + 1000 * seconds
    const next = (): number | null => this.#search.next((end - performance.now()) / 1000)
    for (let rows = next(); rows !== null && wanted(rows); rows = next()) {
      const start = performance.now()
      const random = randomStream(rows)
      const batch = Array.from({ length: rows }, () => randomRow(this.#tokensEach, this.#run.model.info.vocabSize, random))
      const packed = this.#run.backend.toBatch(batch, batch.map((_row, index) => index))
      // The peak of a second step is higher: allocators fragment a little.
      for (let repeat = 0; repeat < 2; repeat++) await this.#take([packed])
      this.#search.add(rows, this.#options.peakBytes(), (performance.now() - start) / 1000)
    }
  }

  #report(steps: readonly TimedStep[], peak: number): BenchmarkReport {
    const { config, source, model, optimizer, data, recipe, environment, memory } = this.#run
    const spread = (of: (step: TimedStep) => number) => spreadOf(steps.map(of))
    return {
      kind: 'benchmark',
      model: source.name,
      model_type: model.info.modelType,
      parameters: model.info.numParameters,
      method: recipe.name,
      trainable_parameters: optimizer.numTrainableParameters,
      device: source.device,
      dtype: source.dtype,
      gradient_checkpointing: memory.checkpointedLayers > 0,
      checkpointed_layers: memory.checkpointedLayers,
      environment,
      rows: { source: this.#options.randomRows ? 'random' : 'data', count: data.train.length, longest_tokens: this.#longestRow },
      ...microBatches(this.#run),
      max_seq_length: config.tokenization.maxSeqLength,
      packing: config.tokenization.packing,
      warmup_steps: this.#options.warmupSteps,
      steps: steps.length,
      skipped_steps: steps.filter(({ outcome }) => !outcome.applied).length,
      tokens_per_step: spread(({ outcome }) => outcome.tokens),
      step_seconds: spread(({ seconds }) => seconds),
      tokens_per_second: spread(({ outcome, seconds }) => outcome.tokens / seconds),
      supervised_tokens_per_second: spread(({ outcome, seconds }) => outcome.supervisedTokens / seconds),
      phases: phasesOf(steps),
      data_seconds: spread(({ dataSeconds }) => dataSeconds).median,
      first_step_seconds: this.#firstStepSeconds,
      memory: { loaded_rss_bytes: this.#loadedBytes, peak_rss_bytes: peak, estimated_rss_bytes: memory.estimate.totalBytes },
      largest_batch: source.device.startsWith('cuda')
        ? { ...this.#search.result(), limit: 'device', how: 'not measured: the memory of a GPU is not seen from here' }
        : this.#search.result(),
    }
  }
}

/** What a micro-batch adds to weights and state. */
function stepBytes({ activationBytes, lossBytes, workspaceBytes }: TrainingMemory): number {
  return activationBytes + Math.max(lossBytes, workspaceBytes)
}

function phasesOf(steps: readonly TimedStep[]): BenchmarkReport['phases'] {
  const phases = steps.flatMap(({ seconds, outcome: { forwardSeconds: forward, backwardSeconds: backward, optimizerSeconds: optimizer } }) =>
    forward === undefined || backward === undefined || optimizer === undefined ? [] : [{ forward, backward, optimizer, other: Math.max(0, seconds - forward - backward - optimizer) }])
  if (phases.length < steps.length) return null
  const median = (name: 'forward' | 'backward' | 'optimizer' | 'other'): number => spreadOf(phases.map((phase) => phase[name])).median
  return { forward_seconds: median('forward'), backward_seconds: median('backward'), optimizer_seconds: median('optimizer'), other_seconds: median('other') }
}
