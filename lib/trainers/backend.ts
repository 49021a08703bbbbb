// The real floors below the trainer: data through lib/data, models through lib/models. Thin: names and shapes only.
import type { ResolvedConfig } from '../core/config/index.js'
import { computeDtype } from '../core/dtype.js'
import { loadTokenizer, planEpoch, prepareDataset, runDataOptions, toBatch } from '../data/index.js'
import {
  createOptimizer, diagnostics, inspectModel, loadModel, lockFolder, memoryOf, memoryRequest, neededBytesOf, quantizationOptionsOf, readAdapterConfig, presentDevice, resolveDtype, resolveModelFolder,
  type Model, type OptimizerOptions,
} from '../models/index.js'
import type { EngineModel, TrainingBackend } from './engine.js'

/** The engine's model behind the interface that the run sees: only this backend makes EngineModels for itself. */
const models = new WeakMap<EngineModel, Model>()

function modelOf(model: EngineModel): Model {
  const known = models.get(model)
  if (known === undefined) throw new TypeError('this model was not loaded by this backend')
  return known
}

function computeDtypeOf({ dtype, bnb4bitComputeDtype }: ResolvedConfig['model']): ResolvedConfig['model']['dtype'] {
  return bnb4bitComputeDtype === undefined ? dtype : computeDtype(bnb4bitComputeDtype)
}

export const nativeBackend: TrainingBackend = {
  lockFolder,

  environment(source, config) {
    const { libtorch, cpuCapability, threads } = diagnostics()
    return { libtorch, cpu: cpuCapability, device: source.device, threads: config.training.threads ?? threads }
  },

  memoryAvailable(device) {
    const { devices, memory } = diagnostics()
    if (!device.startsWith('cuda')) return memory.availableBytes
    const name = device === 'cuda' ? 'cuda:0' : device
    return devices.find((entry) => entry.name === name || entry.name === device)?.totalBytes ?? memory.availableBytes
  },

  async memoryEstimator(source, config, adapter) {
    const request = await memoryRequest({ name: source.name, init: config.model.init, arch: config.model.arch, dtype: source.dtype, device: source.device, attention: config.model.attention, lora: adapter, threads: config.training.threads, ...quantizationOptionsOf(config.model) })
    return ({ trained, ...shape }) => {
      const estimate = memoryOf({ ...request, ...shape, trained: trained === 'weights' ? trained : request.trained })
      return { ...estimate, neededBytes: neededBytesOf(estimate) }
    }
  },

  bf16Native: ({ device }) => resolveDtype('auto', device) === 'bf16',

  async resolveModel(config: ResolvedConfig) {
    const { name } = config.model
    const device = presentDevice(config.model.device)
    const folder = await resolveModelFolder(name, process.env, { need: config.model.init === 'random' ? 'tokenizer' : 'weights' })
    return { name, folder, device, dtype: resolveDtype(computeDtypeOf(config.model), device), arch: config.model.arch }
  },

  inspectModel: async (source, options) => await inspectModel(source.name, {}, { arch: source.arch, ...options }),

  async resolveTargets(source, targets) {
    return (await inspectModel(source.name, { targetModules: targets }, { arch: source.arch })).lora.targets
  },

  // Rows that are tokens already need none: text fails then, with the folder named.
  loadTokenizer: (folder) => loadTokenizer(folder, { optional: true }),

  async prepareData({ config, tokenizer, now, signal, onProgress }) {
    return await prepareDataset({ ...runDataOptions(config), tokenizer, now, signal, onProgress })
  },

  async loadModel(source, config, { offloadLayers, signal }) {
    const model = await loadModel({
      name: source.name, dtype: source.dtype, device: source.device, init: config.model.init, arch: config.model.arch, attention: config.model.attention, seed: config.training.seed, threads: config.training.threads, offloadLayers, signal,
      ...quantizationOptionsOf(config.model),
    })
    const engine: EngineModel = {
      info: model.info,
      evaluate: (batch) => model.evaluate(batch),
      forwardPass: (batch, settings) => model.forwardPass(batch, settings),
      dispose: () => model.dispose(),
    }
    models.set(engine, model)
    return engine
  },

  async readAdapter(folder) {
    const { r, loraAlpha, loraDropout, targetModules, targetParameters, rankPattern, alphaPattern, useRslora, ensureWeightTying } = await readAdapterConfig(folder)
    return {
      r, loraAlpha, loraDropout, targetModules, ...(targetParameters === null || targetParameters.length === 0 ? {} : { targetParameters }), rankPattern, alphaPattern, useRslora,
      ...(ensureWeightTying ? { ensureWeightTying } : {}),
    }
  },

  async attachAdapter(model, _source, settings, { seed, from }) {
    const target = modelOf(model)
    return from === undefined ? await target.addAdapter({ ...settings, seed }) : await target.loadAdapter(from, { loraDropout: settings.loraDropout })
  },

  async trainAllWeights(model) {
    const target = modelOf(model)
    await target.setTrainable()
    return { save: (folder) => target.save(folder), load: (folder) => target.loadWeights(folder) }
  },

  async createOptimizer(model, config) {
    const { optimizer, adamBeta1: beta1, adamBeta2: beta2, adamEpsilon: eps, weightDecay } = config.training
    return await createOptimizer(modelOf(model), { type: optimizer as OptimizerOptions['type'], beta1, beta2, eps, weightDecay })
  },

  planEpoch,
  toBatch,
}
