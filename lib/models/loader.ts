// Loading models: name → folder → engine.
import { makeError } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { loadTokenizer, type TextTokenizer } from '../data/index.js'
import { native } from '../native/binding.js'
import { getLogger } from '../utils/logging.js'
import { withCancel } from './cancel.js'
import { presentDevice, resolveDtype, type DtypeOption } from './devices.js'
import { inspectModel, type ModelInspection } from './inspect.js'
import { Model } from './model.js'
import { nativeQuantization, quantizationOptionNames, quantizationOptionsOf, type QuantizationOptions } from './quantization.js'
import { resolveModelFolder } from './resolve.js'

export interface LoadModelOptions extends QuantizationOptions {
  /** Folder with config.json and *.safetensors, or the name of a hub model that is in the local cache. */
  name: string
  /** What is computed in. Default auto: bf16 where it is native, else fp32. */
  dtype?: DtypeOption
  /** auto, cpu, cuda, cuda:<n>, mps. Default auto. */
  device?: string
  /** random: weights from `seed` instead of files; config.json is enough. */
  init?: 'pretrained' | 'random'
  /** auto: a flash kernel where the device has one; flash: that or an error; eager: plain matrix products. Default auto. */
  attention?: 'auto' | 'flash' | 'eager'
  /** Family to read config.json as, a supported model_type. Default: what it calls itself. */
  arch?: string
  /** On a GPU, so many of the last layers keep their matrices in the memory of the CPU. Default 0. */
  offloadLayers?: number
  seed?: number
  /** CPU threads of the engine, for the whole process. */
  threads?: number
  /** PEFT adapter to attach: a folder, or a name on the hub. */
  adapter?: string
  onProgress?: (loadedBytes: number, totalBytes: number) => void
  signal?: AbortSignal
}

const optionNames: OptionNames<LoadModelOptions> = {
  name: true, dtype: true, device: true, init: true, attention: true, arch: true, offloadLayers: true, seed: true, threads: true, adapter: true, onProgress: true, signal: true,
  ...quantizationOptionNames,
}

/**
 * Loads a model. Dispose it, or declare it with `await using`.
 * Errors: FT_MODEL_NOT_FOUND, FT_MODEL_CONFIG, FT_UNSUPPORTED_MODEL, FT_MISSING_SHARD, FT_MISSING_TENSOR, FT_TENSOR_SHAPE,
 * FT_SAFETENSORS, FT_PICKLE_REFUSED, FT_DEVICE_UNAVAILABLE, FT_OUT_OF_MEMORY, FT_CANCELLED.
 */
export async function loadModel(options: LoadModelOptions | string): Promise<Model> {
  return (await load(named('loadModel', options))).model
}

export async function loadModelAndTokenizer(options: LoadModelOptions | string): Promise<{ model: Model; tokenizer: TextTokenizer }> {
  const given = named('loadModelAndTokenizer', options)
  const tokenizer = await loadTokenizer(await resolveModelFolder(given.name, process.env, { need: 'tokenizer', signal: given.signal }))
  try {
    const { model } = await load(given, tokenizer)
    return { model, tokenizer }
  } catch (error) {
    tokenizer.dispose()
    throw error
  }
}

function named(call: string, options: LoadModelOptions | string): LoadModelOptions {
  if (typeof options === 'string') return { name: options }
  if (typeof options === 'object' && options !== null) {
    checkOptions(call, options, optionNames)
    return options
  }
  throw makeError('FT_INVALID_ARGUMENT', `a model is loaded by its name or by options, got ${options === null ? 'null' : typeof options}`, {
    remedy: "pass a folder, or { name: './model', … }",
  })
}

async function load(options: LoadModelOptions, tokenizer?: TextTokenizer): Promise<{ model: Model }> {
  const device = presentDevice(options.device)
  const folder = await resolveModelFolder(options.name, process.env, { need: options.init === 'random' ? 'tokenizer' : 'weights', signal: options.signal })
  const dtype = resolveDtype(options.dtype, device)
  if (options.threads !== undefined) await native().setNumThreads(options.threads)
  const quantization = nativeQuantization(options, () => native().inspectConfig(folder, options.arch).linearModules)
  const request = { path: folder, dtype, device, init: options.init ?? 'pretrained', attention: options.attention ?? 'auto', arch: options.arch, seed: options.seed ?? 42, quantization, offloadLayers: options.offloadLayers }
  const handle = await withCancel(options.signal, (cancel) => native().loadModel(request, options.onProgress, cancel))
  const model = new Model(handle, { name: options.name, folder, quantization: quantizationOptionsOf(options) }, tokenizer)
  warnOfUnused(model)
  if (options.adapter === undefined) return { model }
  try {
    await model.loadAdapter(options.adapter)
    return { model }
  } catch (error) {
    handle.dispose()
    throw error
  }
}

const shownNames = 5

/** A bias or a norm that is left out changes the numbers: nobody should have to find that out from them. */
function warnOfUnused({ name, info: { unusedTensors, modelType } }: Model): void {
  const count = unusedTensors.length
  if (count === 0) return
  const shown = `${unusedTensors.slice(0, shownNames).join(', ')}${count > shownNames ? ` and ${count - shownNames} more` : ''}`
  getLogger().warn(`${name}: ${count === 1 ? '1 tensor of the files has' : `${count} tensors of the files have`} no place in a ${modelType} model as its config.json describes it and ${count === 1 ? 'is' : 'are'} not used: ${shown}`, {
    unused_tensors: count,
  })
}

/** The same, as an object that remembers its options. */
export class ModelLoader {
  readonly #options: Omit<LoadModelOptions, 'name'>

  constructor(options: Omit<LoadModelOptions, 'name'> = {}) {
    checkOptions('ModelLoader', options, optionNames)
    this.#options = options
  }

  async load(name: string, options: Omit<LoadModelOptions, 'name'> = {}): Promise<Model> {
    return await loadModel({ ...this.#options, ...options, name })
  }

  async loadWithTokenizer(name: string, options: Omit<LoadModelOptions, 'name'> = {}): Promise<{ model: Model; tokenizer: TextTokenizer }> {
    return await loadModelAndTokenizer({ ...this.#options, ...options, name })
  }

  /** From headers alone. */
  async inspect(name: string): Promise<ModelInspection> {
    return await inspectModel(name)
  }
}
