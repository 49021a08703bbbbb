// From merged entries to the one frozen object that everything above works with.
import { fail } from '../errors/index.js'
import { sections } from './keys.js'
import { environmentVariable } from './layers.js'
import { resolveEntries, type ConfigEntry, type ConfigSources } from './resolve.js'
import { camelCase } from './row.js'
import { type TableKey } from './table.js'
import type { ConfigOrigins, ResolvedConfig } from './types.js'

export interface LoadedConfig {
  config: ResolvedConfig
  origins: ConfigOrigins
}

/** Merges, checks and freezes. Errors: as resolveEntries, and FT_MISSING_CONFIG for a required key. */
export function loadConfig(sources: ConfigSources = {}): LoadedConfig {
  const config = buildConfig(resolveEntries(sources))
  return { config, origins: config.origins }
}

export function buildConfig(entries: readonly ConfigEntry[]): ResolvedConfig {
  checkRequired(entries)
  const config: Record<string, Record<string, unknown>> = {}
  const origins: Record<string, unknown> = {}
  for (const section of Object.keys(sections)) config[section] = {}
  for (const { key, value, origin } of entries) {
    origins[key.dotted] = origin
    if (value !== undefined) (config[key.section] as Record<string, unknown>)[camelCase(key.name)] = structuredClone(value)
  }
  // Every key went through its schema in mergeLayers; this is where checked values get their type.
  return deepFreeze({ ...config, origins }) as unknown as ResolvedConfig
}

/** Required keys that nothing gives. */
export function missingKeys(entries: readonly ConfigEntry[]): TableKey[] {
  return entries.filter((entry) => entry.key.row.required && entry.value === undefined).map((entry) => entry.key)
}

function checkRequired(entries: readonly ConfigEntry[]): void {
  const missing = missingKeys(entries)
  if (missing.length === 0) return
  const flags = missing.flatMap(({ row }) => (row.flag === undefined ? [] : [`--${row.flag}`]))
  const ways = [...(flags.length === missing.length ? [flags] : []), [missing.length > 1 ? 'their lines in the configuration file' : 'its line in the configuration file'], missing.map(environmentVariable)]
  fail('FT_MISSING_CONFIG', `${missing.map((key) => key.dotted).join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not set`, {
    remedy: `give ${ways.map((names) => names.join(' and ')).join(', or ')}`,
    details: { missing: missing.map((key) => key.dotted) },
  })
}

/** True where a person (not a default) chose the value of a dotted snake_case key. */
export function isExplicit(config: ResolvedConfig, dotted: string): boolean {
  return (config.origins[dotted] ?? 'default') !== 'default'
}

function deepFreeze<T extends object>(value: T): T {
  for (const item of Object.values(value)) if (typeof item === 'object' && item !== null) deepFreeze(item as object)
  return Object.freeze(value)
}
