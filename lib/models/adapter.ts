// An adapter on a model: its options, its tensors, its PEFT folder.
import path from 'node:path'
import { FineTuneError, makeError } from '../core/errors/index.js'
import { makeFolder, pathKind } from '../utils/fs.js'
import { native, type NativeAdapter, type NativeLoraTarget, type NativeTensorInfo } from '../native/binding.js'
import type { ResolvedLoraOptions } from './lora.js'
import { adapterWeightsFile, readAdapterConfig, writeAdapterConfig } from './peft/config.js'

export interface AdapterFacts {
  options: ResolvedLoraOptions
  /** What the options came to on this model. */
  targets: readonly NativeLoraTarget[]
  /** target_modules as adapter_config.json gets it. */
  writtenTargets: string | readonly string[]
  baseModelName: string
  init: 'kaiming' | 'gaussian'
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
    await this.#native.save(path.join(folder, adapterWeightsFile))
    await writeAdapterConfig(folder, {
      options: this.#facts.options,
      targetModules: this.#facts.writtenTargets,
      baseModelNameOrPath: this.#facts.baseModelName,
      initLoraWeights: this.#facts.init === 'gaussian' ? 'gaussian' : true,
    })
  }

  /** Reads weights of the same shapes from an adapter folder or a .safetensors file. Errors: FT_ADAPTER_MISMATCH. */
  async load(source: string): Promise<void> {
    const file = (await pathKind(source)) === 'folder' ? path.join(source, adapterWeightsFile) : source
    await namingBases(path.dirname(file), this.#facts.baseModelName, () => this.#native.load(file))
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

/** Runs `work`; a mismatch then says which base the adapter of `folder` was made for, and which one it met. */
export async function namingBases<T>(folder: string, baseModelName: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof FineTuneError) || (error.code !== 'FT_ADAPTER_MISMATCH' && error.code !== 'FT_UNKNOWN_TARGET_MODULE')) throw error
    throw await mismatch(error, folder, baseModelName)
  }
}

async function mismatch(error: FineTuneError, folder: string, baseModelName: string): Promise<FineTuneError> {
  const made = await readAdapterConfig(folder).then((config) => config.baseModelNameOrPath, () => '')
  const from = made === '' ? 'another base' : `the base ${JSON.stringify(made)}`
  return makeError('FT_ADAPTER_MISMATCH', `the adapter ${folder} was made for ${from} and does not fit ${JSON.stringify(baseModelName)}: ${error.message}`, {
    remedy: made === '' ? 'use the base model that the adapter was trained on' : `use the base it was trained on: ${made}`,
    details: { ...error.details, path: folder, adapter_base: made, model: baseModelName },
    cause: error,
  })
}
