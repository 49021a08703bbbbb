// `inspect` of an adapter folder: what adapter_config.json says, and whether this engine can use it.
import path from 'node:path'
import { FineTuneError } from '../core/errors/index.js'
import { readAdapterConfig, resolveAdapterFolder } from '../models/index.js'
import { readJsonFile } from '../models/json-file.js'
import type { CliContext } from './context.js'
import { facts } from './inspect-model.js'

const shown = ['peft_type', 'base_model_name_or_path', 'r', 'lora_alpha', 'lora_dropout', 'target_modules', 'rank_pattern', 'alpha_pattern', 'use_rslora', 'ensure_weight_tying', 'bias', 'modules_to_save', 'peft_version'] as const

/** Errors: FT_ADAPTER when there is no readable adapter_config.json. */
export async function showAdapter(name: string, context: CliContext): Promise<void> {
  const folder = await resolveAdapterFolder(name, process.env, { signal: context.signal })
  const raw = await readJsonFile(path.join(folder, 'adapter_config.json'), 'FT_ADAPTER')
  const problem = await whyNot(folder)
  context.document({ kind: 'adapter', folder, usable: problem === null, problem, config: raw })
  const rows = shown.filter((name) => raw[name] !== undefined && raw[name] !== null)
  context.print(facts([...rows.map((name): [string, string] => [name, plain(raw[name])]), ['usable', problem === null ? 'yes' : `no: ${problem}`]]))
}

async function whyNot(folder: string): Promise<string | null> {
  try {
    await readAdapterConfig(folder)
    return null
  } catch (error) {
    if (error instanceof FineTuneError) return error.message
    throw error
  }
}

function plain(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map(plain).join(', ')
  return JSON.stringify(value)
}
