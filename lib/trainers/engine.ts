// What the trainer needs of the floors below, as interfaces: the run is tested with a small engine written in
// TypeScript, and a program may bring its own. backend.ts is the real one.
import type { EncodedRow, EpochOptions, EpochPlan, PreparedDataset, TextTokenizer } from '../data/index.js'
import type { ResolvedConfig } from '../core/config/index.js'
import type { EngineStepOptions, MemoryEstimate, ModelInfo, PackedBatch, StepResult } from '../models/index.js'
import type { RunInputs } from './checkpoints/inputs.js'

/** Rows of tokens laid end to end, without padding. */
export type Batch = PackedBatch

export type StepSettings = EngineStepOptions

export type StepOutcome = Pick<StepResult, 'loss' | 'gradNorm' | 'tokens' | 'supervisedTokens' | 'applied' | 'skipped' | 'lossScale'> &
  // By phase, where the step is one call of the engine.
  Partial<Pick<StepResult, 'forwardSeconds' | 'backwardSeconds' | 'optimizerSeconds'>>

export type SkipReason = NonNullable<StepOutcome['skipped']>

export type EngineModelInfo = Readonly<
  Pick<
    ModelInfo,
    | 'modelType' | 'vocabSize' | 'hiddenSize' | 'intermediateSize' | 'numHiddenLayers' | 'numAttentionHeads' | 'numKeyValueHeads' | 'headDim'
    | 'numParameters' | 'weightBytes'
  >
> & {
  readonly dtype: string
  readonly device: string
  /** How the files hold linear weights, where that is not plain. */
  readonly quantization?: string | null
}

export interface EnginePass {
  /** [tokens]: log p(label | row before it), 0 where there is no label. */
  readonly logprobs: Float32Array
  /** grad: d loss / d logprobs, [tokens]. Once. */
  backward(grad: Float32Array): Promise<void>
  dispose(): void
}

export interface EngineModel {
  readonly info: EngineModelInfo
  evaluate(batch: Batch): Promise<{ lossSum: number; supervisedTokens: number; tokens: number }>
  /** Gradients of its backward add up in the trainable parameters. One is live a model. */
  forwardPass(batch: Batch, settings: Pick<StepSettings, 'seed' | 'step' | 'gradientCheckpointing'>): Promise<EnginePass>
  dispose(): Promise<void> | void
}

export interface EngineOptimizer {
  /** Forward and backward of every micro-batch, clip, update. A loss or gradient that is not finite is not applied. */
  step(batches: Batch[], settings: StepSettings): Promise<StepOutcome>
  /** Clips and updates with the gradients at hand, then zeroes them. */
  apply(settings: { learningRate: number; maxGradNorm: number }): Promise<{ gradNorm: number; applied: boolean; skipped?: SkipReason | null; lossScale?: number }>
  zeroGradients(): Promise<void>
  save(file: string): Promise<void>
  load(file: string): Promise<void>
  readonly numTrainableParameters: number
  dispose(): Promise<void> | void
}

/** What a method trains, as files: a PEFT adapter, or a whole model. */
export interface TrainedWeights {
  /** Writes into an existing folder, flushed. */
  save(folder: string): Promise<void>
  /** Reads what save wrote. */
  load(folder: string): Promise<void>
}

/** Where a model is and what it will be computed with; known before its weights are read. */
export interface ModelSource {
  /** As the person named it. */
  name: string
  folder: string
  dtype: 'bf16' | 'fp16' | 'fp32'
  device: string
  /** Family to read config.json as, where the person named one. */
  arch?: string
}

/** An adapter's options, with the names of configuration files in camelCase. */
export interface AdapterSettings {
  r: number
  loraAlpha: number
  loraDropout: number
  targetModules: string | readonly string[]
  /** Absent: none. */
  targetParameters?: readonly string[]
  rankPattern: Readonly<Record<string, number>>
  alphaPattern: Readonly<Record<string, number>>
  useRslora: boolean
  /** Absent: false. */
  ensureWeightTying?: boolean
}

/** A run as an estimate of its memory sees it. */
export interface MemoryShape {
  trained: 'adapter' | 'weights'
  dtype: ModelSource['dtype']
  optimizer: string
  /** Tokens of each row of the heaviest micro-batch. */
  rows: readonly number[]
  /** So many of the first layers are computed again in backward. */
  checkpointedLayers: number
  /** So many of the last layers keep their matrices in the memory of the CPU. */
  offloadedLayers: number
}

/** The most at a time. */
export interface TrainingMemory extends Omit<MemoryEstimate, 'device' | 'dtype'> {
  /** Beyond what the process has before anything is loaded. */
  neededBytes: number
}

/** Arithmetic on sizes: cheap. */
export type MemoryEstimator = (shape: MemoryShape) => TrainingMemory

export interface DataOptions {
  config: ResolvedConfig
  tokenizer: TextTokenizer
  /** What the clock says to chat templates that ask; a resumed run passes the date of the first one. */
  now?: Date
  signal?: AbortSignal
  /** How far reading is. */
  onProgress?(progress: DataProgress): void
}

export interface DataProgress {
  rows: number
  bytes: number
  totalBytes: number
}

/** The floors below, as the run calls them. */
export interface TrainingBackend {
  /** Errors: FT_OUTPUT_LOCKED naming the holder. */
  lockFolder(folder: string): { release(): void }
  /** What the last bits of the numbers may depend on: library versions, device, threads. */
  environment(source: ModelSource, config: ResolvedConfig): RunInputs
  memoryAvailable(device: string): number
  /** From headers alone (init random: from config.json). `adapter`: options of the adapter that the run would train. */
  memoryEstimator(source: ModelSource, config: ResolvedConfig, adapter: AdapterSettings): Promise<MemoryEstimator>
  /** Whether bf16 is a dtype that the device computes in. */
  bf16Native(source: ModelSource): boolean
  /** Errors: FT_MODEL_NOT_FOUND, FT_DEVICE_UNAVAILABLE … */
  resolveModel(config: ResolvedConfig): Promise<ModelSource>
  /** From headers alone; init random: from config.json alone. */
  inspectModel(source: ModelSource, options?: { init: 'pretrained' | 'random' }): Promise<Omit<EngineModelInfo, 'dtype' | 'device'>>
  /** Module paths that target modules name. Errors: FT_UNKNOWN_TARGET_MODULE. */
  resolveTargets(source: ModelSource, targets: string | readonly string[]): Promise<string[]>
  loadTokenizer(folder: string): Promise<TextTokenizer>
  prepareData(options: DataOptions): Promise<PreparedDataset>
  loadModel(source: ModelSource, config: ResolvedConfig, options: { offloadLayers: number; signal?: AbortSignal }): Promise<EngineModel>
  /** Options of the PEFT adapter in a folder. */
  readAdapter(folder: string): Promise<AdapterSettings>
  /** Attaches an adapter, freshly initialised by `seed` or with the weights of the folder `from`. */
  attachAdapter(model: EngineModel, source: ModelSource, settings: AdapterSettings, start: { seed: number; from?: string }): Promise<TrainedWeights>
  /** Makes every weight trainable. */
  trainAllWeights(model: EngineModel, source: ModelSource): Promise<TrainedWeights>
  createOptimizer(model: EngineModel, config: ResolvedConfig): Promise<EngineOptimizer>
  /** Micro-batches of every step of an epoch, as row indices. */
  planEpoch(options: EpochOptions): EpochPlan
  toBatch(rows: readonly EncodedRow[], rowIds: readonly number[]): Batch
}
