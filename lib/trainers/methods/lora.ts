// LoRA: the base stays frozen, low-rank adapters learn (Hu et al. 2021, arXiv 2106.09685). Starts fresh from the
// `lora` section, or from a PEFT adapter folder, whose r, alpha and targets then count.
import path from 'node:path'
import { isExplicit, type ResolvedConfig } from '../../core/config/index.js'
import { fail, makeError } from '../../core/errors/index.js'
import { resolveAdapterFolder } from '../../models/index.js'
import { pathKind, sha256File } from '../../utils/fs.js'
import { canonicalJson, flatten, type RunInputs } from '../checkpoints/inputs.js'
import type { AdapterSettings, ModelSource, TrainingBackend } from '../engine.js'
import type { MethodContext, PlannedMethod, TrainingMethod } from './method.js'

export const lora: TrainingMethod = {
  name: 'lora',
  produces: 'adapter',
  async plan(context: MethodContext): Promise<PlannedMethod> {
    const { config, backend, source } = context
    const named = config.training.adapter
    const from = named === undefined ? undefined : await resolveAdapterFolder(named)
    const settings = from === undefined ? ownSettings(config) : await startSettings(from, context)
    // Names of modules that the model does not have are seen before the weights are read.
    if (config.model.init === 'pretrained') await backend.resolveTargets(source, settings.targetModules)
    return {
      inputs: { ...flatten({ ...settings }, 'lora'), ...(from === undefined ? {} : await startInputs(from)) },
      summary: {
        r: settings.r,
        lora_alpha: settings.loraAlpha,
        lora_dropout: settings.loraDropout,
        target_modules: typeof settings.targetModules === 'string' ? settings.targetModules : settings.targetModules.join(', '),
        ...(settings.useRslora ? { use_rslora: true } : {}),
        ...(named === undefined ? {} : { started_from: named }),
      },
      adapter: settings,
      attach: (model) => backend.attachAdapter(model, source, settings, { seed: config.training.seed, from }),
    }
  },
}

/** The section lora of a configuration. */
export function ownSettings({ lora: section }: ResolvedConfig): AdapterSettings {
  const { r, loraAlpha, loraDropout, targetModules, targetParameters, rankPattern, alphaPattern, useRslora, ensureWeightTying } = section
  return {
    r, loraAlpha, loraDropout, targetModules, ...(targetParameters.length > 0 ? { targetParameters } : {}), rankPattern, alphaPattern, useRslora,
    ...(ensureWeightTying ? { ensureWeightTying } : {}),
  }
}

/** Keys that an adapter's own configuration decides. */
const decidedByAdapter = {
  r: 'lora.r',
  loraAlpha: 'lora.lora_alpha',
  targetModules: 'lora.target_modules',
  targetParameters: 'lora.target_parameters',
  rankPattern: 'lora.rank_pattern',
  alphaPattern: 'lora.alpha_pattern',
  useRslora: 'lora.use_rslora',
  ensureWeightTying: 'lora.ensure_weight_tying',
} as const satisfies Partial<Record<keyof AdapterSettings, string>>

/** The folder's options with this run's dropout. Errors: FT_INCOMPATIBLE_CONFIG when another value was asked for. */
async function startSettings(folder: string, { config, backend, source }: MethodContext): Promise<AdapterSettings> {
  const start = await backend.readAdapter(folder)
  const wanted = ownSettings(config)
  for (const [field, key] of Object.entries(decidedByAdapter) as [keyof typeof decidedByAdapter, string][]) {
    if (!isExplicit(config, key) || sameValue(wanted[field], start[field])) continue
    if (field === 'targetModules' && (await sameTargets(backend, source, wanted.targetModules, start.targetModules))) continue
    fail('FT_INCOMPATIBLE_CONFIG', `${key} is ${show(wanted[field])}, but the adapter ${folder} has ${show(start[field])}`, {
      remedy: `leave ${key} out: it comes from the adapter that training starts from`,
      details: { key, adapter: folder, expected: start[field], got: wanted[field] },
    })
  }
  return { ...start, loraDropout: isExplicit(config, 'lora.lora_dropout') ? wanted.loraDropout : start.loraDropout }
}

function sameValue(a: AdapterSettings[keyof AdapterSettings], b: AdapterSettings[keyof AdapterSettings]): boolean {
  return canonicalJson(sorted(a)) === canonicalJson(sorted(b))
}

/** Two ways to say the same modules: all-linear, a pattern, names. */
async function sameTargets(backend: TrainingBackend, source: ModelSource, a: AdapterSettings['targetModules'], b: AdapterSettings['targetModules']): Promise<boolean> {
  return canonicalJson(await backend.resolveTargets(source, a)) === canonicalJson(await backend.resolveTargets(source, b))
}

function sorted(value: unknown): unknown {
  return Array.isArray(value) ? [...(value as unknown[])].map(String).sort() : value
}

function show(value: unknown): string {
  return typeof value === 'string' ? `"${value}"` : JSON.stringify(value)
}

async function startInputs(folder: string): Promise<RunInputs> {
  const weights = path.join(folder, 'adapter_model.safetensors')
  if ((await pathKind(weights)) !== 'file') {
    throw makeError('FT_ADAPTER', `${folder} has no adapter_model.safetensors`, {
      remedy: 'point --adapter at a folder that PEFT or ft-native saved',
      details: { path: folder },
    })
  }
  return { 'training.adapter': await sha256File(weights) }
}
