// adapter_config.json: read from any PEFT version (what would change the numbers and is not supported is refused by
// name, unknown fields are ignored as PEFT ignores them), written with every field PEFT 0.21 writes, keys sorted.
import fs from 'node:fs/promises'
import path from 'node:path'
import { makeError } from '../../core/errors/index.js'
import { isRepositoryName, splitRevision } from '../../core/hub-name.js'
import { errnoOf, writeFileSynced } from '../../utils/fs.js'
import { isRecord, readJsonFile } from '../json-file.js'
import type { ResolvedLoraOptions } from '../lora.js'
import { loraDefaults, plainInits, refusedFields } from './fields.js'

export const adapterConfigFile = 'adapter_config.json'
export const adapterWeightsFile = 'adapter_model.safetensors'

/** What an adapter folder says about itself. */
export interface PeftLoraConfig extends ResolvedLoraOptions {
  /** "" where it is absent. */
  baseModelNameOrPath: string
  initLoraWeights: unknown
  /** The file's text as it was read. */
  raw: Readonly<Record<string, unknown>>
}

/**
 * Reads <folder>/adapter_config.json and checks that the weights beside it can be read.
 * Errors: FT_ADAPTER naming the field; FT_PICKLE_REFUSED for adapter_model.bin alone.
 */
export async function readAdapterConfig(folder: string): Promise<PeftLoraConfig> {
  const names = await list(folder)
  if (!names.includes(adapterConfigFile)) {
    throw makeError('FT_ADAPTER', `${folder} is not an adapter folder: it has no ${adapterConfigFile}`, {
      remedy: 'point at a folder that PEFT or ft-native saved', details: { path: folder },
    })
  }
  if (!names.includes(adapterWeightsFile)) refuseWeights(folder, names)
  const file = path.join(folder, adapterConfigFile)
  return parseAdapterConfig(await readJsonFile(file, 'FT_ADAPTER'), file)
}

async function list(folder: string): Promise<string[]> {
  try {
    return await fs.readdir(folder)
  } catch (error) {
    const reason = errnoOf(error) === 'ENOENT' ? 'there is no such folder' : errnoOf(error) === 'ENOTDIR' ? 'it is not a folder' : String(error)
    throw makeError('FT_ADAPTER', `cannot read the adapter ${folder}: ${reason}`, { remedy: 'check the path', details: { path: folder }, cause: error })
  }
}

function refuseWeights(folder: string, names: readonly string[]): never {
  if (names.some((name) => /^adapter_model\.(?:bin|pt|pth)$/.test(name))) {
    throw makeError('FT_PICKLE_REFUSED', `${folder} holds its weights as a pickle (adapter_model.bin), which can run code when it is read`, {
      remedy: `convert it where you trust it: python -c "import torch, safetensors.torch as s; s.save_file(torch.load('adapter_model.bin', weights_only=True), '${adapterWeightsFile}')"`,
      details: { path: folder },
    })
  }
  throw makeError('FT_ADAPTER', `${folder} has no ${adapterWeightsFile}`, { remedy: 'point at a folder that PEFT or ft-native saved', details: { path: folder } })
}

/** `where` names the file in messages. */
export function parseAdapterConfig(raw: Record<string, unknown>, where: string): PeftLoraConfig {
  const read = new FieldReader(raw, where)
  if (raw.peft_type !== 'LORA') read.refuse('peft_type', `"LORA" is supported, it is ${JSON.stringify(raw.peft_type ?? null)}`)
  for (const [field, meaning] of Object.entries(refusedFields)) {
    const value = raw[field]
    if (asksForNothing(value) || value === loraDefaults[field as keyof typeof refusedFields]) continue
    read.refuse(field, `${meaning} ${meaning.endsWith('s') ? 'are' : 'is'} not supported`)
  }
  if (!plainInits.includes(raw.init_lora_weights ?? null)) {
    read.refuse('init_lora_weights', `${JSON.stringify(raw.init_lora_weights)} changes the base weights, so this adapter does not fit the base as it is published`)
  }
  const targetParameters = read.names('target_parameters')
  const bias = targetParameters?.find((name) => /(?:^|[._])bias$/.test(name))
  if (bias !== undefined) read.refuse('target_parameters', `it names ${bias}, and adapters of biases are not supported`)
  const targetModules = read.targets('target_modules') ?? (targetParameters === null ? read.refuse('target_modules', 'it is missing') : [])
  return {
    r: read.integer('r', loraDefaults.r),
    loraAlpha: read.number('lora_alpha', loraDefaults.lora_alpha),
    loraDropout: read.number('lora_dropout', loraDefaults.lora_dropout),
    targetModules,
    targetParameters,
    excludeModules: read.targets('exclude_modules'),
    rankPattern: read.numbers('rank_pattern'),
    alphaPattern: read.numbers('alpha_pattern'),
    useRslora: raw.use_rslora === true,
    ensureWeightTying: raw.ensure_weight_tying === true,
    layersToTransform: read.layers('layers_to_transform'),
    layersPattern: read.targets('layers_pattern'),
    baseModelNameOrPath: baseName(raw),
    initLoraWeights: raw.init_lora_weights ?? true,
    raw,
  }
}

/** With the revision of a model of the hub, as this package names one. */
function baseName({ base_model_name_or_path: name, revision }: Readonly<Record<string, unknown>>): string {
  if (typeof name !== 'string') return ''
  return typeof revision === 'string' && revision !== '' && isRepositoryName(name) ? `${name}@${revision}` : name
}

function asksForNothing(value: unknown): boolean {
  if (value == null || value === false || value === '') return true
  return Array.isArray(value) ? value.length === 0 : isRecord(value) && Object.keys(value).length === 0
}

class FieldReader {
  constructor(private readonly raw: Record<string, unknown>, private readonly where: string) {}

  refuse(field: string, reason: string): never {
    throw makeError('FT_ADAPTER', `${this.where}: ${field}: ${reason}`, {
      remedy: 'train or save the adapter without it; `ft-native inspect <folder>` shows what is there',
      details: { path: this.where, field, value: this.raw[field] },
    })
  }

  integer(field: string, otherwise: number): number {
    const value = this.raw[field] ?? otherwise
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) this.refuse(field, `expected a whole number of at least 1, got ${JSON.stringify(value)}`)
    return value
  }

  number(field: string, otherwise: number): number {
    const value = this.raw[field] ?? otherwise
    if (typeof value !== 'number' || !Number.isFinite(value)) this.refuse(field, `expected a number, got ${JSON.stringify(value)}`)
    return value
  }

  numbers(field: string): Record<string, number> {
    const value = this.raw[field] ?? {}
    if (!isRecord(value)) this.refuse(field, 'expected a map')
    for (const entry of Object.values(value)) if (typeof entry !== 'number') this.refuse(field, 'expected a map to numbers')
    return value as Record<string, number>
  }

  targets(field: string): string | string[] | null {
    const value = this.raw[field] ?? null
    if (value === null || typeof value === 'string') return value
    if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) return value
    return this.refuse(field, 'expected a string or a list of strings')
  }

  names(field: string): string[] | null {
    const value = this.targets(field)
    return typeof value === 'string' ? this.refuse(field, 'expected a list of strings') : value
  }

  layers(field: string): number | number[] | null {
    const value = this.raw[field] ?? null
    if (value === null || typeof value === 'number') return value
    if (Array.isArray(value) && value.every((entry) => Number.isInteger(entry))) return value as number[]
    return this.refuse(field, 'expected a layer number or a list of them')
  }
}

export interface WrittenAdapter {
  options: ResolvedLoraOptions
  /** As PEFT saves it: names or whole paths, or a regular expression. */
  targetModules: string | readonly string[]
  baseModelNameOrPath: string
  /** true: kaiming, PEFT's default. */
  initLoraWeights: true | 'gaussian'
  /** Default false. */
  fanInFanOut?: boolean
}

/** The file's text: what PEFT's save_pretrained writes (json.dumps, indent 2, sorted keys). */
export function adapterConfigText({ options, targetModules, baseModelNameOrPath, initLoraWeights, fanInFanOut = false }: WrittenAdapter): string {
  const base = splitRevision(baseModelNameOrPath)
  const fields: Record<string, unknown> = {
    ...loraDefaults,
    base_model_name_or_path: base.name,
    revision: base.revision,
    exclude_modules: options.excludeModules,
    fan_in_fan_out: fanInFanOut,
    init_lora_weights: initLoraWeights,
    layers_pattern: options.layersPattern,
    layers_to_transform: options.layersToTransform,
    lora_alpha: options.loraAlpha,
    lora_dropout: options.loraDropout,
    r: options.r,
    rank_pattern: options.rankPattern,
    alpha_pattern: options.alphaPattern,
    target_modules: targetModules,
    target_parameters: options.targetParameters,
    use_rslora: options.useRslora,
    ensure_weight_tying: options.ensureWeightTying,
  }
  const sorted = Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)))
  return `${JSON.stringify(sorted, null, 2)}\n`
}

export async function writeAdapterConfig(folder: string, adapter: WrittenAdapter): Promise<void> {
  await writeFileSynced(path.join(folder, adapterConfigFile), adapterConfigText(adapter))
}
