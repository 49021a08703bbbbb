// Everything before the first step, cheap checks first: folder, configuration, data, and only then the weights.
import path from 'node:path'
import { isExplicit, type ResolvedConfig } from '../core/config/index.js'
import { fail } from '../core/errors/index.js'
import type { PreparedDataset, TextTokenizer } from '../data/index.js'
import { addLogFile, getLogger, logDatasetInfo, logModelInfo, LogProgress } from '../utils/logging.js'
import { formatBytes } from '../utils/terminal.js'
import { StepBatches, type SharedWindow } from './batches.js'
import { refuseWithoutValidation, secureBest } from './best.js'
import { fingerprintModel } from './checkpoints/fingerprint.js'
import type { RunInputs } from './checkpoints/inputs.js'
import type { DataProgress, EngineModel, EngineOptimizer, ModelSource, TrainedWeights, TrainingBackend } from './engine.js'
import { planMemory, type MemoryPlan } from './memory.js'
import { ownSettings } from './methods/lora.js'
import type { PlannedMethod, TrainingMethod } from './methods/index.js'
import type { Objective } from './objectives/index.js'
import { openFolder, refuseHeldRun, refuseInputFolders, removeRun, type OpenFolder } from './output/folder.js'
import { newProgress, type RunProgress } from './progress.js'
import { checkResume, findResumePoint, laterCheckpoints, type ResumePoint } from './resume.js'
import { runInputs } from './run-inputs.js'
import { planRun, type Cadence, type RunPlan } from './run-plan.js'
import { schedules, warmupStepsOf } from './schedules.js'

/** What is trained, and by which loss. */
export interface Recipe {
  /** Its name in the configuration. */
  name: string
  method: TrainingMethod
  objective: Objective
}

export interface PrepareOptions {
  config: ResolvedConfig
  recipe: Recipe
  backend: TrainingBackend
  signal?: AbortSignal
  dryRun: boolean
  /** Told where the run's log is, once it is open. */
  onLogFile?: (file: string) => void
  /** Told now and then how far reading the data is. */
  onDataProgress?: (progress: DataProgress) => void
  /** Undone in reverse order when the run is over, however it ends. */
  cleanup: Cleanup
}

export type Cleanup = (() => Promise<void> | void)[]

export interface PreparedRun {
  config: ResolvedConfig
  recipe: Recipe
  backend: TrainingBackend
  signal?: AbortSignal
  source: ModelSource
  /** Absolute. */
  output: string
  /** null: a dry run, which writes nothing there. */
  folder: OpenFolder | null
  tokenizer: TextTokenizer
  data: PreparedDataset
  batches: StepBatches
  plan: RunPlan
  cadence: Cadence
  /** Rate of the step that follows `step` done ones. */
  learningRate: (step: number) => number
  method: PlannedMethod
  model: EngineModel
  weights: TrainedWeights
  optimizer: EngineOptimizer
  /** How it fits. */
  memory: MemoryPlan
  inputs: RunInputs
  environment: RunInputs
  resumed: ResumePoint | null
  progress: RunProgress
}

export async function prepareRun(options: PrepareOptions): Promise<PreparedRun> {
  const { recipe, backend, signal, cleanup } = options
  const output = path.resolve(options.config.training.outputDir)
  const { folder, resumed, later } = await prepareFolder(options, output)
  const source = await backend.resolveModel(options.config)
  const method = await recipe.method.plan({ config: options.config, backend, source })
  const { tokenizer, data } = await prepareData(options, source, resumed)
  refuseWithoutValidation(options.config.training.loadBestModelAtEnd, data.validation.length)
  const config = withValidation(options.config, data)
  const batches = batchesOf(config, backend, data)
  const plan = planRun({ stepsPerEpoch: batches.stepsPerEpoch, ...config.training })
  const inputs = runInputs({
    config, source, objective: recipe.objective.name, methodInputs: method.inputs, dataFingerprint: data.fingerprint,
    modelFingerprint: await fingerprintModel(source.folder, { weights: config.model.init === 'pretrained' }),
  })
  const environment = backend.environment(source, config)
  if (resumed !== null) checkResume({ point: resumed, inputs, environment, plan, force: config.training.force })
  if (resumed !== null && folder !== null && config.training.loadBestModelAtEnd) await secureBest(resumed, folder.store)
  const memory = await memoryFor({ ...options, config }, { source, method, batches, resumed })
  stopIfAborted(signal)

  const model = await LogProgress.run(`loading ${source.name}`, () => backend.loadModel(source, config, { offloadLayers: memory.estimate.offloadedLayers, signal }))
  cleanup.push(() => model.dispose())
  const weights = await method.attach(model)
  const optimizer = await backend.createOptimizer(model, config)
  cleanup.push(() => optimizer.dispose())
  logModelInfo({ ...model.info, trainableParameters: optimizer.numTrainableParameters })
  if (resumed !== null) await restore(resumed, weights, optimizer)
  // Only now, when nothing but the training itself can fail any more, does an earlier run go.
  if (folder !== null && config.training.overwrite) await removeRun(output)
  if (folder !== null) for (const checkpoint of later) await folder.store.delete(checkpoint)

  const { saveSteps, evalSteps, loggingSteps } = config.training
  return {
    config, recipe, backend, signal, source, output, folder, tokenizer, data, batches, plan, method, model, weights, optimizer,
    memory, inputs, environment, resumed,
    cadence: { saveSteps, evalSteps, loggingSteps },
    learningRate: rateOf(config, plan, resumed),
    progress: resumed === null ? newProgress() : structuredClone(resumed.state.progress),
  }
}

async function prepareFolder({ config, backend, dryRun, cleanup, onLogFile }: PrepareOptions, output: string) {
  const { resume, overwrite } = config.training
  await refuseInputFolders(output, { 'the model': config.model.name, 'the adapter that training starts from': config.training.adapter })
  const folder = dryRun ? null : await openFolder(output, (target) => backend.lockFolder(target))
  if (folder !== null) cleanup.push(() => folder.close())
  if (resume === false) await refuseHeldRun(output, overwrite)
  if (folder !== null) {
    const file = path.join(output, 'training.log')
    const log = addLogFile(file)
    cleanup.push(() => log.close())
    onLogFile?.(file)
    if (folder.removed.length > 0) getLogger().info(`removed what an interrupted save left behind: ${folder.removed.join(', ')}`)
  }
  const resumed = await findResumePoint(resume, output)
  // A run of another folder goes on here only where no run is yet.
  if (resumed !== null && path.dirname(resumed.checkpoint.path) !== output) await refuseHeldRun(output, overwrite)
  const later = await laterCheckpoints(resumed, config, output)
  return { folder, resumed, later }
}

async function prepareData({ config, backend, signal, cleanup, onDataProgress: onProgress }: PrepareOptions, source: ModelSource, resumed: ResumePoint | null) {
  stopIfAborted(signal)
  const tokenizer = await backend.loadTokenizer(source.folder)
  cleanup.push(() => tokenizer.dispose())
  const date = resumed?.state.templateDate ?? null
  const data = await LogProgress.run('preparing data', () => backend.prepareData({ config, tokenizer, signal, onProgress, ...(date === null ? {} : { now: new Date(date) }) }))
  stopIfAborted(signal)
  if (data.train.length === 0) fail('FT_EMPTY_DATASET', 'no rows are left to train on', { remedy: 'add rows, or lower --validation-ratio' })
  logDatasetInfo(data.report)
  return { tokenizer, data }
}

function batchesOf(config: ResolvedConfig, backend: TrainingBackend, data: PreparedDataset): StepBatches {
  const { batchSize, gradientAccumulationSteps: accumulation, seed, groupByLength } = config.training
  const { shuffle, shuffleWindow } = config.dataset
  return new StepBatches(backend, data.train, { batchSize, accumulation, shuffle, shuffleWindow, seed, groupByLength, window: sharedWindowOf(config) })
}

/** The windows that rows share; undefined: they share none. */
export function sharedWindowOf({ tokenization }: ResolvedConfig): SharedWindow | undefined {
  return tokenization.packing ? { length: tokenization.maxSeqLength, wrapped: tokenization.packingStrategy === 'wrapped' } : undefined
}

/** The default share of validation rows depends on the rows: what it came to is what the run says and remembers. */
function withValidation(config: ResolvedConfig, data: PreparedDataset): ResolvedConfig {
  const { validationRatio: _ratio, ...withoutRatio } = config.dataset
  // A validation split that comes with the data is taken because nobody names a share: a resumed run must not find one either.
  if (data.ownValidation && config.dataset.validationPath === undefined) return { ...config, dataset: withoutRatio as ResolvedConfig['dataset'] }
  if (isExplicit(config, 'dataset.validation_ratio') || (data.validation.length > 0 && config.dataset.validationPath === undefined)) return config
  return { ...config, dataset: { ...config.dataset, validationRatio: 0 } }
}

interface MemoryParts {
  source: ModelSource
  method: PlannedMethod
  batches: StepBatches
  resumed: ResumePoint | null
}

/** Decides what memory decides, before the weights are read. Errors: FT_OUT_OF_MEMORY when the run cannot fit. */
async function memoryFor({ config, backend, recipe }: PrepareOptions, { source, method, batches, resumed }: MemoryParts): Promise<MemoryPlan> {
  const { batchSize, gradientAccumulationSteps: accumulation, gradientCheckpointing, autoBatch, optimizer, force } = config.training
  // A resumed run divides its steps as it did: the last bits depend on it.
  const before = resumed?.state.microBatchRows
  const { offloadLayers } = config.model
  const plan = planMemory({
    estimate: await backend.memoryEstimator(source, config, method.adapter ?? ownSettings(config)),
    shape: { trained: recipe.method.produces === 'model' ? 'weights' : 'adapter', dtype: source.dtype, optimizer },
    heaviest: (size) => batches.heaviestRows(size), batchSize: before ?? batchSize, accumulation, gradientCheckpointing, autoBatch, force,
    availableBytes: backend.memoryAvailable(source.device),
    offloadLayers: offloadLayers === 'auto' && (source.device === 'cpu' || recipe.method.produces === 'model') ? 0 : offloadLayers, hostBytes: backend.memoryAvailable('cpu'),
    change: { bf16Native: backend.bf16Native(source), maxSeqLength: config.tokenization.maxSeqLength },
  })
  batches.limitTo(plan.batchSize)
  const { checkpointedLayers, estimate, activationBytes, availableBytes } = plan
  if (gradientCheckpointing === 'auto') {
    const layers = checkpointedLayers === 0 ? 'off' : checkpointedLayers === estimate.layers ? 'on' : `on for ${checkpointedLayers} of ${estimate.layers} layers`
    getLogger().info(`gradient checkpointing ${layers} (auto): activations of the longest batch would take ${formatBytes(activationBytes)}, the run about ${formatBytes(estimate.neededBytes)}, ${formatBytes(availableBytes)} are free`)
  }
  if (estimate.offloadedLayers > 0) {
    getLogger().info(`the matrices of ${estimate.offloadedLayers} of ${estimate.layers} layers (${formatBytes(estimate.offloadedBytes)}) stay in the memory of the CPU and visit ${source.device} for each product: steps take longer`)
  }
  if (estimate.neededBytes > availableBytes) getLogger().warn(`the run needs about ${formatBytes(estimate.neededBytes)} and ${formatBytes(availableBytes)} are free: it goes on because of force`)
  return plan
}

function rateOf(config: ResolvedConfig, plan: RunPlan, resumed: ResumePoint | null): (step: number) => number {
  const { scheduler, learningRate, warmupRatio, warmupSteps } = config.training
  const schedule = schedules.get(scheduler)
  const rate = ({ maxSteps }: RunPlan) => {
    const shape = { maxSteps, warmupSteps: warmupStepsOf(maxSteps, { warmupSteps, warmupRatio }) }
    return (step: number): number => learningRate * schedule(step, shape)
  }
  const before = resumed?.state.plan
  if (resumed !== null && before !== undefined && before.maxSteps !== plan.maxSteps) {
    const step = resumed.checkpoint.step
    const old = step < before.maxSteps ? rate(before)(step).toPrecision(4) : 'none, it was over'
    getLogger().warn(
      `the run is now ${plan.maxSteps} steps long, it was ${before.maxSteps}: the ${scheduler} schedule spans the new length, so step ${step + 1} has learning rate ${rate(plan)(step).toPrecision(4)} (before: ${old})`,
    )
  }
  return rate(plan)
}

async function restore({ checkpoint }: ResumePoint, weights: TrainedWeights, optimizer: EngineOptimizer): Promise<void> {
  await weights.load(checkpoint.path)
  await optimizer.load(path.join(checkpoint.path, 'optimizer.safetensors'))
  getLogger().info(`resumed from ${checkpoint.path} after step ${checkpoint.step}`)
}

export function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) fail('FT_CANCELLED', 'stopped before the first step: nothing was trained, nothing had to be saved')
}
