// What a model folder holds, from config.json and the headers of its weights alone: nothing is loaded.
import path from 'node:path'
import { checkOptions } from '../core/options.js'
import { native, type NativeModelInfo } from '../native/binding.js'
import { loraOptionNames, loraParameters, loraTargets, withLoraDefaults, type LoraOptions } from './lora.js'
import { resolveModelFolder } from './resolve.js'
import { TargetModuleDetector } from './target-modules.js'

export interface ModelInspection extends NativeModelInfo {
  name: string
  folder: string
  /** Weight files, names inside the folder. */
  files: string[]
  /** Module paths that "all-linear" stands for, and their short names. */
  allLinear: string[]
  targetModuleNames: string[]
  lora: { r: number; targetModules: string | readonly string[]; targets: string[]; modules: number; trainableParameters: number; trainablePercent: number }
}

export interface InspectOptions {
  /** random: config.json alone counts, weights are not looked at. Default pretrained. */
  init?: 'pretrained' | 'random'
  /** Family to read config.json as. Default: what it calls itself. */
  arch?: string
}

/** Errors: FT_MODEL_NOT_FOUND, FT_MODEL_CONFIG, FT_UNSUPPORTED_MODEL, FT_MISSING_SHARD, FT_MISSING_TENSOR, FT_TENSOR_SHAPE, FT_SAFETENSORS … */
export async function inspectModel(name: string, lora: LoraOptions = {}, options: InspectOptions = {}): Promise<ModelInspection> {
  checkOptions('inspectModel', lora, loraOptionNames)
  checkOptions('inspectModel', options, { init: true, arch: true })
  const { init = 'pretrained', arch } = options
  const folder = await resolveModelFolder(name, process.env, { need: init === 'random' ? 'tokenizer' : 'weights' })
  const info = init === 'random' ? { ...native().inspectConfig(folder, arch), files: [] } : await native().inspectModel(folder, arch)
  const detector = new TargetModuleDetector(info)
  const resolved = withLoraDefaults(lora)
  const targets = loraTargets(info, resolved)
  const trainableParameters = loraParameters(info, targets)
  return {
    ...info,
    name,
    folder,
    files: info.files.map((file) => path.basename(file)),
    allLinear: loraTargets(info, withLoraDefaults({})).map((target) => target.module),
    targetModuleNames: detector.names(),
    lora: {
      r: resolved.r,
      targetModules: resolved.targetModules,
      targets: targets.map((target) => target.module),
      modules: targets.length,
      trainableParameters,
      trainablePercent: (100 * trainableParameters) / (info.numParameters + trainableParameters),
    },
  }
}
