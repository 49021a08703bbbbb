// An optimizer over what is trainable in a model: full steps, or their halves for own objectives.
import { makeError } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { native, type NativeOptimizer, type NativeStepOptions, type NativeStepResult } from '../native/binding.js'
import { packMicroBatches, type BatchInput } from './batch.js'
import { withCancel } from './cancel.js'
import type { Model } from './model.js'

export interface OptimizerOptions {
  /** adamw; adamw_8bit: moments in 8 bits; paged_adamw_8bit: and in memory that the system may write to disk. Default adamw. */
  type?: 'adamw' | 'adamw_8bit' | 'paged_adamw_8bit'
  /** Default 0.9, 0.999, 1e-8. */
  beta1?: number
  beta2?: number
  eps?: number
  /** Decoupled; biases and norm weights are exempt. Default 0. */
  weightDecay?: number
  /** Of steps that name none. Default 2e-4. */
  learningRate?: number
  /** Of steps that name none; 0: no clipping. Default 1. */
  maxGradNorm?: number
  /** Key of dropout. Default 42. */
  seed?: number
  /** Compute layers again in backward instead of keeping their activations: every layer, or so many of the first. Default false. */
  gradientCheckpointing?: boolean | number
}

export interface StepOptions {
  learningRate?: number
  maxGradNorm?: number
  seed?: number
  /** Optimizer steps done before; counted when it is absent. */
  step?: number
  gradientCheckpointing?: boolean | number
  signal?: AbortSignal
}

export type StepResult = NativeStepResult
/** A step's options with nothing left out. */
export type EngineStepOptions = NativeStepOptions

const applyNames: OptionNames<Pick<StepOptions, 'learningRate' | 'maxGradNorm'>> = { learningRate: true, maxGradNorm: true }
const stepNames: OptionNames<StepOptions> = { ...applyNames, seed: true, step: true, gradientCheckpointing: true, signal: true }

export class Optimizer {
  readonly #native: NativeOptimizer
  readonly #defaults: Required<Pick<OptimizerOptions, 'maxGradNorm' | 'seed' | 'gradientCheckpointing'>>
  /** Of steps that name none; a schedule sets it. */
  learningRate: number
  #steps = 0

  /** Made by createOptimizer. */
  constructor(handle: NativeOptimizer, options: OptimizerOptions, readonly model: Model) {
    this.#native = handle
    this.learningRate = options.learningRate ?? 2e-4
    this.#defaults = {
      maxGradNorm: options.maxGradNorm ?? 1,
      seed: options.seed ?? 42,
      gradientCheckpointing: options.gradientCheckpointing ?? false,
    }
  }

  get numTrainableParameters(): number {
    return this.#native.numTrainableParameters()
  }

  /** Steps of this object that were applied. */
  get steps(): number {
    return this.#steps
  }

  /**
   * One optimizer step: forward and backward of every micro-batch, clipping, update. Rows without labels learn every
   * token. A loss or gradient that is not finite is not applied: see `applied` and `skipped` of the result.
   */
  async step(batches: BatchInput | readonly BatchInput[], options: StepOptions = {}): Promise<StepResult> {
    checkOptions('step', options, stepNames)
    const settings = { ...this.#settings(options), learningRate: options.learningRate ?? this.learningRate, maxGradNorm: options.maxGradNorm ?? this.#defaults.maxGradNorm }
    const packed = packMicroBatches(batches)
    const result = await withCancel(options.signal, (cancel) => this.#native.step(packed, settings, cancel))
    if (result.applied) this.#steps += 1
    return result
  }

  /** The forward and backward half of step(): gradients add up. */
  async accumulate(batches: BatchInput | readonly BatchInput[], options: StepOptions = {}): Promise<StepResult> {
    checkOptions('accumulate', options, stepNames)
    const packed = packMicroBatches(batches)
    return await withCancel(options.signal, (cancel) => this.#native.accumulate(packed, this.#settings(options), cancel))
  }

  /** Clips and updates with the gradients at hand, then zeroes them. */
  async apply(options: Pick<StepOptions, 'learningRate' | 'maxGradNorm'> = {}): Promise<{ gradNorm: number; applied: boolean; skipped: StepResult['skipped'] }> {
    checkOptions('apply', options, applyNames)
    const result = await this.#native.apply({
      learningRate: options.learningRate ?? this.learningRate,
      maxGradNorm: options.maxGradNorm ?? this.#defaults.maxGradNorm,
    })
    if (result.applied) this.#steps += 1
    return result
  }

  async zeroGradients(): Promise<void> {
    await this.#native.zeroGradients()
  }

  /** Gradients by parameter name, fp32. */
  async gradients(): Promise<Record<string, { shape: number[]; data: Float32Array }>> {
    return await this.#native.gradients()
  }

  /** Moments, masters that no other file holds, step count and loss scale, as safetensors, flushed to disk. */
  async save(file: string): Promise<void> {
    await this.#native.save(file)
  }

  /** Errors: FT_CHECKPOINT when the file is of another optimizer. */
  async load(file: string): Promise<void> {
    await this.#native.load(file)
  }

  async dispose(): Promise<void> {
    this.#native.dispose()
    await native().idle()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  #settings(options: StepOptions): Pick<NativeStepOptions, 'seed' | 'step' | 'gradientCheckpointing'> {
    return {
      seed: options.seed ?? this.#defaults.seed,
      step: options.step ?? this.#steps,
      gradientCheckpointing: options.gradientCheckpointing ?? this.#defaults.gradientCheckpointing,
    }
  }
}

const optionNames: OptionNames<OptimizerOptions> = {
  type: true, beta1: true, beta2: true, eps: true, weightDecay: true, learningRate: true, maxGradNorm: true, seed: true, gradientCheckpointing: true,
}

/**
 * Over what is trainable now: the active adapter, or every weight after model.setTrainable().
 * Errors: FT_HANDLE_MISUSE when nothing is; FT_INVALID_ARGUMENT.
 */
export async function createOptimizer(model: Model, options: OptimizerOptions = {}): Promise<Optimizer> {
  const target = (model as Model | null | undefined)?.native
  if (target === undefined) throw makeError('FT_INVALID_ARGUMENT', 'createOptimizer needs the model whose parameters it updates', { remedy: 'pass what loadModel resolved to' })
  checkOptions('createOptimizer', options, optionNames)
  const { learningRate = 0 } = options
  if (!(learningRate >= 0 && learningRate < Infinity)) throw makeError('FT_INVALID_ARGUMENT', `learningRate must be a finite number of at least 0, got ${String(learningRate)}`, { remedy: 'usual values: 1e-5 to 1e-3' })
  const handle = await native().createOptimizer(target, {
    type: options.type ?? 'adamw',
    beta1: options.beta1 ?? 0.9,
    beta2: options.beta2 ?? 0.999,
    eps: options.eps ?? 1e-8,
    weightDecay: options.weightDecay ?? 0,
  })
  return new Optimizer(handle, options, model)
}
