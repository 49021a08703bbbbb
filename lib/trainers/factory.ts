// Trainers by the name that `training.method` has. Built in: lora, qlora and full; plugins register more under their own names.
import type { ResolvedConfig } from '../core/config/index.js'
import { fail } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { names, Registry } from '../core/registry.js'
import { benchmarkTraining, type BenchmarkOptions, type BenchmarkReport } from './benchmark/index.js'
import { rehearse } from './dry-run.js'
import type { DataProgress, TrainingBackend } from './engine.js'
import type { EndEvent, TrainingObserver } from './events.js'
import { full, lora, qlora, type TrainingMethod } from './methods/index.js'
import { objectives, type Objective } from './objectives/index.js'
import { runTraining } from './run.js'

export interface TrainOptions extends TrainingObserver {
  /** Ends the run after the step it is in, with a checkpoint. */
  signal?: AbortSignal
  /** Evaluate before the first step too. */
  evaluateFirst?: boolean
  /** Rehearse with the longest batch; nothing is left in the output folder. */
  dryRun?: boolean
  /** Told now and then how far reading the data is. */
  onDataProgress?: (progress: DataProgress) => void
  /** The floors below; for tests and for programs with an engine of their own. */
  backend?: TrainingBackend
}

const trainNames: OptionNames<TrainOptions> = { onEvent: true, onState: true, signal: true, evaluateFirst: true, dryRun: true, onDataProgress: true, backend: true }

/** How a run ended: the `end` event, in camelCase. */
export interface TrainingResult {
  status: EndEvent['status']
  steps: number
  epoch: number
  trainLoss: number | null
  evalLossFirst: number | null
  evalLoss: number | null
  bestMetric: number | null
  bestModelCheckpoint: string | null
  tokens: number
  supervisedTokens: number
  skippedSteps: number
  trainSeconds: number
  firstStepSeconds: number | null
  peakRssBytes: number
  output: string
  checkpoint: string | null
  /** Dry run only. */
  estimatedSeconds: number | null
}

export interface Trainer {
  train(): Promise<TrainingResult>
  /** Trainers made with defineTrainer have it. */
  benchmark?(options: BenchmarkOptions): Promise<BenchmarkReport>
}

export type TrainerConstructor = new (config: ResolvedConfig, options?: TrainOptions) => Trainer

const registry = new Registry<TrainerConstructor>(names.trainers)

export const TrainerFactory = {
  /** Makes `training.method: <name>` valid. Errors: FT_PLUGIN when the name is taken. */
  register(name: string, trainer: TrainerConstructor, options: { replace?: boolean } = {}): void {
    checkOptions('TrainerFactory.register', options, { replace: true })
    registry.register(name, trainer, options)
  },
  /** The trainer of `config.training.method`. Errors: FT_INVALID_CONFIG for a name nobody registered. */
  create(config: ResolvedConfig, options: TrainOptions = {}): Trainer {
    checkResolved(config)
    return new (registry.get(config.training.method))(config, options)
  },
  names(): string[] {
    return registry.names()
  },
} as const

/** JavaScript callers: a plain object has neither defaults nor checks. Errors: FT_INVALID_CONFIG. */
function checkResolved(config: ResolvedConfig | null | undefined): void {
  if (config?.origins !== undefined) return
  fail('FT_INVALID_CONFIG', 'training needs a complete configuration, not an object with some of its keys', {
    remedy: 'make it with new ConfigBuilder()….build(), or with loadConfig(…).config',
  })
}

export interface TrainerParts {
  /** In the configuration and in model cards. */
  name: string
  /** Default: lora. */
  method?: TrainingMethod
  /** Default: sft. */
  objective?: Objective
}

const partNames: OptionNames<TrainerParts> = { name: true, method: true, objective: true }

/** A trainer class from a method and an objective; everything else (data, checkpoints, resume …) is as in the built-in ones. */
export function defineTrainer(parts: TrainerParts): TrainerConstructor {
  checkOptions('defineTrainer', parts, partNames)
  const { name, method = lora, objective = objectives.sft } = parts
  return class implements Trainer {
    readonly #config: ResolvedConfig
    readonly #options: TrainOptions

    constructor(config: ResolvedConfig, options: TrainOptions = {}) {
      checkResolved(config)
      checkOptions('train', options, trainNames)
      this.#config = config
      this.#options = options
    }

    async train(): Promise<TrainingResult> {
      const { backend, dryRun, ...options } = this.#options
      const settings = { ...options, config: this.#config, recipe: { name, method, objective }, backend: backend ?? (await import('./backend.js')).nativeBackend }
      return resultOf(await (dryRun === true ? rehearse(settings) : runTraining(settings)))
    }

    async benchmark(options: BenchmarkOptions): Promise<BenchmarkReport> {
      const backend = this.#options.backend ?? (await import('./backend.js')).nativeBackend
      return await benchmarkTraining(this.#config, { name, method, objective }, backend, options)
    }
  }
}

export class LoRATrainer extends defineTrainer({ name: 'lora', method: lora }) {}
export class QLoRATrainer extends defineTrainer({ name: 'qlora', method: qlora }) {}
export class FullFineTuner extends defineTrainer({ name: 'full', method: full }) {}
TrainerFactory.register('lora', LoRATrainer)
TrainerFactory.register('qlora', QLoRATrainer)
TrainerFactory.register('full', FullFineTuner)

/** Trains as the configuration says. Errors: FineTuneError; the run's folder then holds its last good checkpoint. */
export async function train(config: ResolvedConfig, options: TrainOptions = {}): Promise<TrainingResult> {
  return await TrainerFactory.create(config, options).train()
}

/** How fast the configured training goes here. Errors: FT_INCOMPATIBLE_CONFIG for a trainer that cannot be measured; those of a run. */
export async function benchmark(config: ResolvedConfig, options: BenchmarkOptions & Pick<TrainOptions, 'backend'>): Promise<BenchmarkReport> {
  const { backend, ...measuring } = options
  const trainer = TrainerFactory.create(config, { backend })
  return trainer.benchmark === undefined
    ? fail('FT_INCOMPATIBLE_CONFIG', `the trainer "${config.training.method}" cannot be measured`, { remedy: 'make it with defineTrainer, or measure --method lora' })
    : await trainer.benchmark(measuring)
}

function resultOf(end: EndEvent): TrainingResult {
  return {
    status: end.status,
    steps: end.steps,
    epoch: end.epoch,
    trainLoss: end.train_loss,
    evalLossFirst: end.eval_loss_first ?? null,
    evalLoss: end.eval_loss ?? null,
    bestMetric: end.best_metric ?? null,
    bestModelCheckpoint: end.best_model_checkpoint ?? null,
    tokens: end.tokens,
    supervisedTokens: end.supervised_tokens,
    skippedSteps: end.skipped_steps,
    trainSeconds: end.train_seconds,
    firstStepSeconds: end.first_step_seconds,
    peakRssBytes: end.peak_rss_bytes,
    output: end.output,
    checkpoint: end.checkpoint,
    estimatedSeconds: end.estimated_seconds ?? null,
  }
}
