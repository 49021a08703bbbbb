// Merging: flag > environment > file > default, key by key, with the origin of every value. Each given
// value is checked where it was given, also when another place overrides it.
import { didYouMean } from '../errors/index.js'
import { checkOptions, type OptionNames } from '../options.js'
import { choicesOf } from './choices.js'
import { fileLayer } from './file.js'
import { environmentLayer, flagLayer, type Given, type Layer, type Origin } from './layers.js'
import { failWith, shown, type Problem } from './problems.js'
import { brokenRules } from './rules.js'
import { checkValue } from './schema.js'
import { allKeys, type TableKey } from './table.js'
import { splitNames } from './text.js'

export interface ConfigSources {
  /** YAML or JSON file. */
  file?: string
  /** By kebab-case flag name; undefined means not given. */
  flags?: Readonly<Record<string, unknown>>
  /** Default: process.env. */
  env?: NodeJS.ProcessEnv
}

const sourceNames: OptionNames<ConfigSources> = { file: true, flags: true, env: true }

/** One key after merging. */
export interface ConfigEntry {
  key: TableKey
  /** undefined: not set, and nothing stands for it. */
  value: unknown
  origin: Origin
  /** "config.yaml:12", "--batch-size", "" for a default. */
  where: string
}

/** All keys in table order. Errors: FT_UNKNOWN_CONFIG_KEY, FT_INVALID_CONFIG, FT_INCOMPATIBLE_CONFIG, FT_MISSING_CONFIG (no such file). */
export function resolveEntries(sources: ConfigSources): ConfigEntry[] {
  checkOptions('loadConfig', sources, sourceNames)
  const layers = [
    sources.file === undefined ? { given: [], problems: [] } : fileLayer(sources.file),
    environmentLayer(sources.env ?? process.env),
    flagLayer(sources.flags ?? {}),
  ]
  return mergeLayers(layers)
}

/** Later layers win. */
export function mergeLayers(layers: readonly Layer[]): ConfigEntry[] {
  const problems: Problem[] = layers.flatMap((layer) => layer.problems)
  const merged = new Map<string, ConfigEntry>()
  for (const given of layers.flatMap((layer) => layer.given)) {
    const checked = checkGiven(given, problems)
    if (checked !== undefined) merged.set(given.key.dotted, checked)
  }
  failWith(problems)
  fillDefaults(merged)
  const values = {
    get: (dotted: string) => merged.get(dotted)?.value,
    origin: (dotted: string) => merged.get(dotted)?.origin ?? 'default',
  }
  failWith(brokenRules(values))
  settle(merged)
  return allKeys.map((key) => merged.get(key.dotted) ?? { key, value: undefined, origin: 'default', where: '' })
}

/** The value as the configuration has it; undefined, with the problem noted, where it cannot be. */
export function checkGiven(given: Given, problems: Problem[]): ConfigEntry | undefined {
  const { key, origin, where } = given
  const raw = key.row.kind === 'names' ? splitNames(given.value) : given.value
  const checked = checkValue(key, raw)
  if (checked.ok) return { key, value: checked.value, origin, where }
  const name = origin === 'flag' || origin === 'environment' ? where : `${where}: ${key.dotted}`
  const choices = choicesOf(key.row)
  // A run's own file names the method of a plugin, but not the plugin.
  const plugin = key.row.table === undefined || origin !== 'file' ? '' : '; a name that a plugin registers needs --plugin <file>'
  const fit = typeof raw === 'string' && choices !== undefined ? didYouMean(raw, choices) + plugin : `set it to ${key.row.expects}`
  if (checked.fault !== undefined) {
    problems.push({ code: 'FT_INVALID_CONFIG', message: `${name}${checked.at}: ${checked.fault}`, remedy: `${key.dotted} is ${key.row.expects}` })
    return undefined
  }
  problems.push({ code: 'FT_INVALID_CONFIG', message: `${name}${checked.at}: expected ${key.row.expects}, got ${shown(raw)}`, remedy: fit })
  return undefined
}

/** Plain defaults first, then those that look at other keys. */
function fillDefaults(merged: Map<string, ConfigEntry>): void {
  const read = (dotted: string): unknown => merged.get(dotted)?.value
  for (const computed of [false, true]) {
    for (const key of allKeys) {
      const { default: fallback } = key.row
      if (fallback === undefined || merged.has(key.dotted) || (typeof fallback === 'function') !== computed) continue
      const value: unknown = typeof fallback === 'function' ? (fallback as (read: (dotted: string) => unknown) => unknown)(read) : fallback
      merged.set(key.dotted, { key, value, origin: 'default', where: '' })
    }
  }
}

/** warmup_steps 0 beside a given warmup_ratio says nothing: leave the ratio alone. */
function settle(merged: Map<string, ConfigEntry>): void {
  const ratio = merged.get('training.warmup_ratio')
  if (ratio !== undefined && ratio.origin !== 'default' && Number(ratio.value) > 0) merged.delete('training.warmup_steps')
}
