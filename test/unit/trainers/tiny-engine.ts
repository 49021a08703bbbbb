// A language model small enough to check by hand, behind the trainer's backend interface: one logit a token, whatever
// stands before it; AdamW without weight decay. Deterministic, with gradients that depend on (seed, step) like dropout.
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { makeError } from '../../../lib/core/errors/index.js'
import type { AdapterSettings, Batch, EngineModel, EngineOptimizer, StepOutcome, StepSettings, TrainedWeights, TrainingBackend } from '../../../lib/trainers/engine.js'
import { planEpoch, type EpochPlan } from '../../../lib/data/plan.js'
import type { EncodedRow, EpochOptions, PreparedDataset, TextTokenizer } from '../../../lib/data/index.js'

export const vocab = 12

export interface TinyHooks {
  /** Called before a step's update; returns fields to override. `step`: steps done before. */
  step?: (settings: StepSettings, outcome: StepOutcome) => Partial<StepOutcome> | Promise<Partial<StepOutcome>>
  /** Called with the micro-batches of a step, before anything is computed. */
  batches?: (batches: Batch[]) => void
  evaluate?: () => void
  save?: (file: string) => void | Promise<void>
  loadModel?: () => void
}

export interface TinyOptions extends TinyHooks {
  rows?: number
  validation?: number
  /** Changes the rows. */
  dataSalt?: string
  memory?: number
  locked?: boolean
  environment?: Record<string, string | number>
}

class TinyModel implements EngineModel {
  readonly weights = new Float64Array(vocab)
  readonly gradient = new Float64Array(vocab)
  disposed = false
  readonly #hooks: TinyHooks
  readonly info
  constructor(hooks: TinyHooks, dtype: string) {
    this.#hooks = hooks
    this.info = { ...sizes, dtype, device: 'cpu' }
  }
  logprob(label: number): number {
    const max = Math.max(...this.weights)
    return (this.weights[label] ?? 0) - max - Math.log(this.weights.reduce((sum, weight) => sum + Math.exp(weight - max), 0))
  }
  addGradient(label: number, scale: number): void {
    for (let token = 0; token < vocab; token++) {
      const value = (token === label ? 1 : 0) - Math.exp(this.logprob(token))
      this.gradient[token] = (this.gradient[token] ?? 0) + scale * value
    }
  }
  evaluate(batch: Batch) {
    this.#hooks.evaluate?.()
    const labels = supervised(batch)
    return Promise.resolve({ lossSum: -labels.reduce((sum, { label }) => sum + this.logprob(label), 0), supervisedTokens: labels.length, tokens: batch.inputIds.length })
  }
  forwardPass(batch: Batch) {
    const logprobs = new Float32Array(batch.inputIds.length)
    for (const { token, label } of supervised(batch)) logprobs[token] = this.logprob(label)
    return Promise.resolve({
      logprobs,
      backward: (grad: Float32Array) => {
        for (const { token, label } of supervised(batch)) this.addGradient(label, grad[token] ?? 0)
        return Promise.resolve()
      },
      dispose: () => undefined,
    })
  }
  dispose(): void {
    this.disposed = true
  }
}

const sizes = {
  modelType: 'tiny', architecture: 'TinyForCausalLM', textPartOf: '', vocabSize: vocab, hiddenSize: 4, intermediateSize: 8, numHiddenLayers: 2, numAttentionHeads: 2, numKeyValueHeads: 1, headDim: 2,
  numParameters: 1000, weightBytes: 2000,
}

function supervised(batch: Batch): { token: number; label: number }[] {
  const found: { token: number; label: number }[] = []
  for (let row = 0; row + 1 < batch.cuSeqlens.length; row++) {
    for (let token = (batch.cuSeqlens[row] ?? 0) + 1; token < (batch.cuSeqlens[row + 1] ?? 0); token++) {
      const label = batch.labels?.[token] ?? -100
      if (label !== -100) found.push({ token, label })
    }
  }
  return found
}

/** A number in [0, 1) for a key. */
export function hashed(...key: (string | number)[]): number {
  return createHash('sha256').update(key.join(' ')).digest().readUInt32LE() / 2 ** 32
}

class TinyOptimizer implements EngineOptimizer {
  readonly numTrainableParameters = vocab
  readonly #model: TinyModel
  readonly #hooks: TinyHooks
  #m = new Float64Array(vocab)
  #v = new Float64Array(vocab)
  #steps = 0
  constructor(model: TinyModel, hooks: TinyHooks) {
    this.#model = model
    this.#hooks = hooks
  }
  async step(batches: Batch[], settings: StepSettings): Promise<StepOutcome> {
    this.#hooks.batches?.(batches)
    const labels = batches.flatMap(supervised)
    const noise = 1 + 0.1 * hashed('noise', settings.seed, settings.step, ...batches.flatMap((batch) => [...(batch.rowIds ?? [])]))
    for (const { label } of labels) this.#model.addGradient(label, -noise / labels.length)
    const loss = -labels.reduce((sum, { label }) => sum + this.#model.logprob(label), 0) / labels.length
    const outcome: StepOutcome = {
      loss, gradNorm: Math.hypot(...this.#model.gradient), tokens: batches.reduce((sum, batch) => sum + batch.inputIds.length, 0),
      supervisedTokens: labels.length, applied: true, skipped: null, lossScale: 1,
    }
    const final = { ...outcome, ...(await this.#hooks.step?.(settings, outcome)) }
    if (final.applied) await this.apply(settings)
    else await this.zeroGradients()
    return final
  }
  apply({ learningRate }: { learningRate: number; maxGradNorm: number }) {
    const gradNorm = Math.hypot(...this.#model.gradient)
    this.#steps += 1
    for (let i = 0; i < vocab; i++) {
      const g = this.#model.gradient[i] ?? 0
      this.#m[i] = 0.9 * (this.#m[i] ?? 0) + 0.1 * g
      this.#v[i] = 0.999 * (this.#v[i] ?? 0) + 0.001 * g * g
      const update = (this.#m[i] ?? 0) / (1 - 0.9 ** this.#steps) / (Math.sqrt((this.#v[i] ?? 0) / (1 - 0.999 ** this.#steps)) + 1e-8)
      this.#model.weights[i] = (this.#model.weights[i] ?? 0) - learningRate * update
    }
    this.#model.gradient.fill(0)
    return Promise.resolve({ gradNorm, applied: true })
  }
  zeroGradients(): Promise<void> {
    this.#model.gradient.fill(0)
    return Promise.resolve()
  }
  async save(file: string): Promise<void> {
    await this.#hooks.save?.(file)
    await fs.writeFile(file, JSON.stringify({ m: [...this.#m], v: [...this.#v], steps: this.#steps }))
  }
  async load(file: string): Promise<void> {
    const state = JSON.parse(await fs.readFile(file, 'utf8')) as { m: number[]; v: number[]; steps: number }
    this.#m = Float64Array.from(state.m)
    this.#v = Float64Array.from(state.v)
    this.#steps = state.steps
  }
  dispose(): void {}
}

function weightsOf(model: TinyModel, hooks: TinyHooks, kind: 'adapter' | 'model'): TrainedWeights {
  const names = kind === 'adapter' ? ['adapter_model.safetensors', 'adapter_config.json'] : ['model.safetensors', 'config.json']
  return {
    async save(folder) {
      const file = path.join(folder, names[0] as string)
      await hooks.save?.(file)
      await fs.writeFile(file, JSON.stringify([...model.weights]))
      await fs.writeFile(path.join(folder, names[1] as string), '{"r":8}')
    },
    async load(folder) {
      model.weights.set(JSON.parse(await fs.readFile(path.join(folder, names[0] as string), 'utf8')) as number[])
    },
  }
}

export function tinyRows(count: number, salt: string): EncodedRow[] {
  return Array.from({ length: count }, (_, row) => {
    const length = 3 + Math.floor(6 * hashed(salt, row))
    const inputIds = Int32Array.from({ length }, (_unused, token) => Math.floor(vocab * hashed(salt, row, token) ** 2))
    return { inputIds, labels: inputIds.map((id, token) => (token < 1 ? -100 : id)) }
  })
}

function tinyData(options: TinyOptions): PreparedDataset {
  const salt = options.dataSalt ?? 'rows'
  const train = tinyRows(options.rows ?? 10, salt)
  const validation = tinyRows(options.validation ?? 0, `${salt} held out`)
  const tokens = train.reduce((sum, row) => sum + row.inputIds.length, 0)
  const fingerprint = createHash('sha256').update(`${salt} ${train.length} ${validation.length}`).digest('hex')
  const report = {
    rows: train.length, skippedBadRows: 0, badRowExamples: [], truncatedRows: 0, droppedRows: 0, splitRows: 0, lostSupervisedTokens: 0, supervisedTokens: tokens, tokens, maxLength: 8,
    rowsWithoutLabels: 0, rowsWithoutLabelsExamples: [], shapes: { text: train.length }, detection: [], filtered: [], warnings: [],
  }
  return { train, validation, report, fingerprint, templateDate: null }
}

/** Steps of an epoch: the shuffled rows, cut into micro-batches and steps. Packing is the real one. */
export function tinyPlan(options: EpochOptions): EpochPlan {
  const { rows, batchSize, accumulation, shuffle, seed, epoch, packing } = options
  if (packing !== undefined) return planEpoch(options)
  const order = Array.from({ length: rows }, (_, row) => row)
  if (shuffle) order.sort((a, b) => hashed('order', seed, epoch, a) - hashed('order', seed, epoch, b))
  const micro: number[][] = []
  for (let start = 0; start < order.length; start += batchSize) micro.push(order.slice(start, start + batchSize))
  const steps: number[][][] = []
  for (let start = 0; start < micro.length; start += accumulation) steps.push(micro.slice(start, start + accumulation))
  return steps
}

export function tinyBatch(rows: readonly EncodedRow[], rowIds: readonly number[]): Batch {
  const cuSeqlens = new Int32Array(rows.length + 1)
  rows.forEach((row, index) => (cuSeqlens[index + 1] = (cuSeqlens[index] ?? 0) + row.inputIds.length))
  return {
    inputIds: Int32Array.from(rows.flatMap((row) => [...row.inputIds])),
    labels: Int32Array.from(rows.flatMap((row) => [...row.labels])),
    cuSeqlens,
    rowIds: Int32Array.from(rowIds),
  }
}

export interface TinyBackend extends TrainingBackend {
  /** Models that were loaded, oldest first. */
  models: TinyModel[]
  locks: number
}

export function tinyBackend(options: TinyOptions = {}): TinyBackend {
  const models: TinyModel[] = []
  const backend: TinyBackend = {
    models,
    locks: 0,
    lockFolder(folder) {
      if (options.locked) throw makeError('FT_OUTPUT_LOCKED', `${folder} is in use by process 1`, { remedy: 'wait for it' })
      backend.locks += 1
      return { release: () => void (backend.locks -= 1) }
    },
    environment: () => ({ engine: 'tiny', ...options.environment }),
    memoryAvailable: () => options.memory ?? 1e9,
    // 2000 bytes of weights; 100 a token and layer that is not computed again, 10 a token of the loss.
    memoryEstimator: () => Promise.resolve(({ rows, checkpointedLayers, optimizer, trained }) => {
      const tokens = rows.reduce((sum, length) => sum + length, 0)
      const activationBytes = tokens * (100 * (2 - Math.min(2, checkpointedLayers)) + 10)
      const optimizerBytes = (trained === 'weights' ? 1000 : 12) * (optimizer === 'adamw' ? 8 : 2)
      const neededBytes = 2000 + optimizerBytes + activationBytes + 10 * tokens
      return {
        weightBytes: 2000, offloadedBytes: 0, offloadedLayers: 0, masterBytes: 0, gradientBytes: 0, optimizerBytes, activationBytes, lossBytes: 10 * tokens, workspaceBytes: 0, fragmentationBytes: 0, runtimeBytes: 1000,
        totalBytes: neededBytes + 1000, neededBytes, tokens, layers: 2, checkpointedLayers,
      }
    }),
    bf16Native: () => true,
    resolveModel: (config) => Promise.resolve({ name: config.model.name, folder: config.model.name, dtype: config.model.dtype === 'auto' ? 'fp32' : config.model.dtype, device: 'cpu' }),
    inspectModel: () => Promise.resolve(sizes),
    resolveTargets: (_source, targets) => Promise.resolve(targets === 'all-linear' ? ['q_proj', 'v_proj'] : [...targets].sort()),
    loadTokenizer: (folder) => Promise.resolve({ files: [path.join(folder, 'tokenizer.json')], dispose: () => undefined } as unknown as TextTokenizer),
    prepareData: () => Promise.resolve(tinyData(options)),
    loadModel(source) {
      options.loadModel?.()
      const model = new TinyModel(options, source.dtype)
      models.push(model)
      return Promise.resolve(model)
    },
    readAdapter: async (folder) => JSON.parse(await fs.readFile(path.join(folder, 'adapter_config.json'), 'utf8')) as AdapterSettings,
    async attachAdapter(model, _source, _settings, { seed, from }) {
      const tiny = model as TinyModel
      for (let i = 0; i < vocab; i++) tiny.weights[i] = hashed('init', seed, i)
      const weights = weightsOf(tiny, options, 'adapter')
      if (from !== undefined) await weights.load(from)
      return weights
    },
    trainAllWeights: (model) => Promise.resolve(weightsOf(model as TinyModel, options, 'model')),
    createOptimizer: (model) => Promise.resolve(new TinyOptimizer(model as TinyModel, options)),
    planEpoch: tinyPlan,
    toBatch: tinyBatch,
  }
  return backend
}
