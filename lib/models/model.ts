// A loaded model: forward passes, generation, adapters, training steps, saving. Thin: it checks and converts what
// people pass and calls the engine, which runs everything on its own thread, first in, first out.
import { makeError } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { loadTokenizer, type TextTokenizer } from '../data/index.js'
import { native, type NativeDtype, type NativeLoraTarget, type NativeModel, type NativeModelInfo } from '../native/binding.js'
import { Adapter } from './adapter.js'
import { explainingMismatch } from './adapter-mismatch.js'
import { packBatch, padRows, type BatchInput, type TokenRow } from './batch.js'
import { withCancel } from './cancel.js'
import { generateBatch, generateBatchOptionNames, generateOptionNames, generateText, generateTokens, type GenerateBatchOptions, type GeneratedRow, type GenerateOptions } from './generate.js'
import { loraOptionNames, loraTargets, resolveOn, withLoraDefaults, type LoraOptions, type ResolvedLoraOptions } from './lora.js'
import { Optimizer, type StepOptions, type StepResult } from './optimizer.js'
import { Pass } from './pass.js'
import { savedBaseLayers } from './peft/base-layers.js'
import { readAdapterConfig } from './peft/config.js'
import { resolveAdapterFolder } from './resolve-adapter.js'
import type { QuantizationOptions } from './quantization.js'
import { saveModelFolder, type SaveModelOptions } from './save.js'
import { isAllLinear, TargetModuleDetector } from './target-modules.js'

export type ModelInfo = Readonly<NativeModelInfo & { dtype: NativeDtype; device: string }>

export interface ModelFacts {
  /** As it was asked for: a path or a hub name. */
  name: string
  folder: string
  /** How it was asked to keep its weights. */
  quantization?: QuantizationOptions
}

export interface Matrix {
  data: Float32Array
  shape: number[]
}

export interface AddAdapterOptions extends LoraOptions {
  /** Of the A matrices; B starts at zero. Default kaiming, as PEFT's. */
  init?: 'kaiming' | 'gaussian'
  /** Default 42. */
  seed?: number
}

export interface PassOptions {
  /** Key of dropout, with step. Default 42 and 0. */
  seed?: number
  step?: number
  gradientCheckpointing?: boolean | number
}

const addAdapterNames: OptionNames<AddAdapterOptions> = { ...loraOptionNames, init: true, seed: true }
const passNames: OptionNames<PassOptions> = { seed: true, step: true, gradientCheckpointing: true }
const saveNames: OptionNames<SaveModelOptions> = { maxShardBytes: true, dtype: true }

export class Model {
  readonly name: string
  /** Where its files are. */
  readonly folder: string
  readonly info: ModelInfo
  /** How it was asked to keep its weights. */
  readonly quantization: QuantizationOptions
  readonly #native: NativeModel
  #tokenizer: Promise<TextTokenizer> | undefined
  /** Held, because the engine lets go of an adapter whose handle is collected. */
  #activeAdapter: Adapter | null = null

  /** Made by loadModel. */
  constructor(handle: NativeModel, facts: ModelFacts, tokenizer?: TextTokenizer) {
    this.#native = handle
    this.name = facts.name
    this.folder = facts.folder
    this.quantization = facts.quantization ?? {}
    this.info = Object.freeze(handle.info())
    if (tokenizer !== undefined) this.#tokenizer = Promise.resolve(tokenizer)
  }

  /** For createOptimizer. */
  get native(): NativeModel {
    return this.#native
  }

  /** Of the model's folder; read when it is first needed. Errors: FT_TOKENIZER_MISSING, FT_TOKENIZER. */
  async tokenizer(): Promise<TextTokenizer> {
    this.#tokenizer ??= loadTokenizer(this.folder)
    return await this.#tokenizer
  }

  /** Logits of every position, [rows, longest row, vocab], zeros behind the end of a row. */
  async forward(batch: BatchInput, options: { signal?: AbortSignal } = {}): Promise<{ logits: Float32Array; shape: [number, number, number] }> {
    checkOptions('forward', options, { signal: true })
    const packed = packBatch(batch)
    const flat = await withCancel(options.signal, (cancel) => this.#native.forward(packed, cancel))
    const vocab = this.info.vocabSize
    const { data, rows, longest } = padRows(flat, packed.cuSeqlens, vocab)
    return { logits: data, shape: [rows, longest, vocab] }
  }

  /**
   * [rows, longest row]: log p(label at t | row before t), 0 where the label is -100, at a row's first token and behind
   * its end. Without labels every token is scored.
   */
  async logprobs(batch: BatchInput): Promise<{ logprobs: Float32Array; shape: [number, number] }> {
    const packed = packBatch(batch, { defaultLabels: true })
    const { data, rows, longest } = padRows(await this.#native.logprobs(packed), packed.cuSeqlens, 1)
    return { logprobs: data, shape: [rows, longest] }
  }

  /** Loss without gradients: the mean is lossSum / supervisedTokens. */
  async evaluate(batch: BatchInput): Promise<{ lossSum: number; supervisedTokens: number; tokens: number }> {
    return await this.#native.evaluate(packBatch(batch, { defaultLabels: true }))
  }

  /** A forward pass for an own objective. One is live a model: dispose it. Errors: FT_HANDLE_MISUSE. */
  async forwardPass(batch: BatchInput, options: PassOptions = {}): Promise<Pass> {
    checkOptions('forwardPass', options, passNames)
    const packed = packBatch(batch, { defaultLabels: true })
    const pass = await this.#native.forwardPass(packed, {
      seed: options.seed ?? 42,
      step: options.step ?? 0,
      gradientCheckpointing: options.gradientCheckpointing ?? false,
    })
    return new Pass(pass, packed.cuSeqlens, packed.labels ?? packed.inputIds)
  }

  /** Text for a text prompt, piece by piece; token ids for token ids. The iterator's return value of text says why it ended. */
  generate(prompt: string, options?: GenerateOptions): AsyncGenerator<string, GeneratedRow, undefined>
  generate(prompt: TokenRow, options?: GenerateOptions): AsyncGenerator<number, void, undefined>
  generate(prompt: string | TokenRow, options: GenerateOptions = {}): AsyncGenerator<string, GeneratedRow, undefined> | AsyncGenerator<number, void, undefined> {
    checkOptions('generate', options, generateOptionNames)
    if (typeof prompt === 'string') return generateText(this.#generation(), prompt, options)
    if (!Array.isArray(prompt) && !(prompt instanceof Int32Array)) {
      throw makeError('FT_INVALID_ARGUMENT', `a prompt is text or token ids, got ${prompt === null ? 'null' : typeof prompt}`, { remedy: 'pass a string' })
    }
    return generateTokens(this.#generation(), prompt, options)
  }

  /** Several prompts at once. */
  async generateBatch(prompts: readonly (string | TokenRow)[], options: GenerateBatchOptions = {}): Promise<GeneratedRow[]> {
    checkOptions('generateBatch', options, generateBatchOptionNames)
    return await generateBatch(this.#generation(), prompts, options)
  }

  #generation() {
    return { native: this.#native, eosTokenIds: this.info.eosTokenIds, tokenizer: () => this.tokenizer() }
  }

  /**
   * Attaches a fresh LoRA adapter; it becomes the active one and what createOptimizer trains.
   * Errors: FT_UNKNOWN_TARGET_MODULE, FT_INVALID_ARGUMENT.
   */
  async addAdapter(options: AddAdapterOptions = {}): Promise<Adapter> {
    checkOptions('addAdapter', options, addAdapterNames)
    const resolved = withLoraDefaults(options)
    return await this.#attach(resolveOn(this.info, resolved), loraTargets(this.info, resolved), options)
  }

  /** Attaches the PEFT adapter of a folder, or of the hub (org/name). dropout: instead of the folder's. Errors: FT_ADAPTER, FT_ADAPTER_MISMATCH, those of the hub. */
  async loadAdapter(name: string, options: { loraDropout?: number } = {}): Promise<Adapter> {
    checkOptions('loadAdapter', options, { loraDropout: true })
    const folder = await resolveAdapterFolder(name)
    const config = await readAdapterConfig(folder)
    const resolved = resolveOn(this.info, withLoraDefaults({ ...config, loraDropout: options.loraDropout ?? config.loraDropout }))
    const before = this.activeAdapter
    const adapter = await explainingMismatch({ folder, baseModelName: this.name }, async () => {
      const targets = loraTargets(this.info, resolved, { strict: false, place: { code: 'FT_ADAPTER' } })
      return await this.#attach(resolved, targets, { init: config.initLoraWeights === 'gaussian' ? 'gaussian' : 'kaiming' })
    })
    try {
      await adapter.load(folder)
      return adapter
    } catch (error) {
      await adapter.dispose()
      if (before !== null) await this.setActiveAdapter(before)
      throw error
    }
  }

  async #attach(options: ResolvedLoraOptions, targets: NativeLoraTarget[], { init = 'kaiming', seed = 42 }: Pick<AddAdapterOptions, 'init' | 'seed'>): Promise<Adapter> {
    const handle = await this.#native.addAdapter({ type: 'lora', targets, dropout: options.loraDropout, init, seed })
    const { targetModules } = options
    const writtenTargets = isAllLinear(targetModules) ? new TargetModuleDetector(this.info).shortest(targets.map((target) => target.module)) : targetModules
    const last = targets.at(-1)?.module
    const fanInFanOut = this.info.linearModules.some(({ name, transposed }) => name === last && transposed)
    const baseLayers = savedBaseLayers(this.info, targets.map((target) => target.module), writtenTargets)
    this.#activeAdapter = new Adapter(handle, { options, targets, writtenTargets, baseLayers, baseModelName: this.name, init, fanInFanOut })
    return this.#activeAdapter
  }

  /** The adapter that forward passes use, or null: the base alone. */
  get activeAdapter(): Adapter | null {
    return this.#activeAdapter?.isDisposed === true ? null : this.#activeAdapter
  }

  /** Which adapter forward passes use; null: the base alone. Errors: FT_HANDLE_MISUSE for an adapter of another model. */
  async setActiveAdapter(adapter: Adapter | null): Promise<void> {
    if (adapter !== null && !(adapter instanceof Adapter)) {
      throw makeError('FT_INVALID_ARGUMENT', `the active adapter is an Adapter or null, got ${typeof adapter}`, { remedy: 'pass what addAdapter or loadAdapter resolved to' })
    }
    await this.#native.setActiveAdapter(adapter === null ? null : adapter.native)
    this.#activeAdapter = adapter
  }

  /** Makes every weight trainable (full fine-tuning). Call before createOptimizer. */
  async setTrainable(): Promise<void> {
    await this.#native.setTrainable()
  }

  /** One optimizer step over micro-batches; see Optimizer.step. */
  async step(batches: BatchInput | readonly BatchInput[], optimizer: Optimizer, options: StepOptions = {}): Promise<StepResult> {
    if (!(optimizer instanceof Optimizer)) {
      throw makeError('FT_INVALID_ARGUMENT', `step needs an Optimizer, got ${optimizer === null ? 'null' : typeof optimizer}`, { remedy: 'pass what createOptimizer resolved to' })
    }
    if (optimizer.model !== this) throw makeError('FT_HANDLE_MISUSE', `this optimizer was made for another model, ${optimizer.model.name}`, { remedy: 'pass what createOptimizer resolved to for this model' })
    return await optimizer.step(batches, options)
  }

  /** A folder that transformers loads: weights, config.json, generation_config.json, tokenizer files. Errors: FT_STORAGE. */
  async save(folder: string, options: SaveModelOptions = {}): Promise<void> {
    checkOptions('save', options, saveNames)
    await saveModelFolder(this, folder, options)
  }

  /** Reads weights of the same shapes, from a model folder. */
  async loadWeights(folder: string): Promise<void> {
    await this.#native.loadWeights(folder)
  }

  /** Frees the model when pending calls are done. Idempotent; resolves when the memory is free. */
  async dispose(): Promise<void> {
    this.#native.dispose()
    const tokenizer = this.#tokenizer
    this.#tokenizer = undefined
    await tokenizer?.then((loaded) => loaded.dispose(), () => undefined)
    await native().idle()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }
}
