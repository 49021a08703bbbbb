// An adapter on a model: its options, its tensors, its PEFT folder.
import path from 'node:path'
import { makeFolder, pathKind } from '../utils/fs.js'
import { native, type NativeAdapter, type NativeLoraTarget, type NativeTensorInfo } from '../native/binding.js'
import { explainingMismatch } from './adapter-mismatch.js'
import type { ResolvedLoraOptions } from './lora.js'
import { adapterWeightsFile, writeAdapterConfig } from './peft/config.js'

export interface AdapterFacts {
  options: ResolvedLoraOptions
  /** What the options came to on this model. */
  targets: readonly NativeLoraTarget[]
  /** target_modules as adapter_config.json gets it. */
  writtenTargets: string | readonly string[]
  baseModelName: string
  init: 'kaiming' | 'gaussian'
  /** Modules whose own weights the file holds too. */
  baseLayers: readonly string[]
  /** The last target's weight is stored as [in, out]: what PEFT says of the whole adapter. */
  fanInFanOut: boolean
}

export class Adapter {
  readonly options: Readonly<ResolvedLoraOptions>
  readonly targets: readonly Readonly<NativeLoraTarget>[]
  readonly #native: NativeAdapter
  readonly #facts: AdapterFacts
  #disposed = false

  /** Made by Model.addAdapter and Model.loadAdapter. */
  constructor(handle: NativeAdapter, facts: AdapterFacts) {
    this.#native = handle
    this.#facts = facts
    this.options = facts.options
    this.targets = facts.targets
  }

  /** For Model.setActiveAdapter. */
  get native(): NativeAdapter {
    return this.#native
  }

  /** PEFT names with shapes, in file order. */
  tensors(): NativeTensorInfo[] {
    return this.#native.tensors()
  }

  get numParameters(): number {
    return this.tensors().reduce((sum, tensor) => sum + tensor.numel, 0)
  }

  /** Writes adapter_model.safetensors (fp32) and adapter_config.json as PEFT reads them, flushed to disk. Errors: FT_STORAGE. */
  async save(folder: string): Promise<void> {
    await makeFolder(folder)
    // A folder on this machine by its whole path: the adapter is read from other places, and a resumed run writes the same.
    const base = this.#facts.baseModelName
    await this.#native.save(path.join(folder, adapterWeightsFile), this.#facts.baseLayers)
    await writeAdapterConfig(folder, {
      options: this.#facts.options,
      targetModules: this.#facts.writtenTargets,
      baseModelNameOrPath: (await pathKind(base)) === 'folder' ? path.resolve(base) : base,
      initLoraWeights: this.#facts.init === 'gaussian' ? 'gaussian' : true,
      fanInFanOut: this.#facts.fanInFanOut,
    })
  }

  /** Reads weights of the same shapes from an adapter folder or a .safetensors file. Errors: FT_ADAPTER_MISMATCH. */
  async load(source: string): Promise<void> {
    const file = (await pathKind(source)) === 'folder' ? path.join(source, adapterWeightsFile) : source
    const place = { folder: path.dirname(file), baseModelName: this.#facts.baseModelName, expected: () => this.tensors() }
    await explainingMismatch(place, () => this.#native.load(file))
  }

  /** Frees the adapter; the model computes without it. Idempotent; resolves when the memory is free. */
  async dispose(): Promise<void> {
    this.#disposed = true
    this.#native.dispose()
    await native().idle()
  }

  get isDisposed(): boolean {
    return this.#disposed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }
}
