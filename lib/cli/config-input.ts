// The configuration of a command line: the positional `config` file and the flags that are keys of it.
import { loadConfig, resolveEntries, type ConfigEntry, type LoadedConfig } from '../core/config/index.js'
import { findFlag } from '../core/config/table.js'
import type { Command, CommandInput } from './command.js'

/** The positional that the readers below look for. */
export const configPositional = { name: 'config', describe: 'YAML or JSON file with the same settings as keys; a flag counts more', optional: true } satisfies NonNullable<Command['positionals']>[number]

function sources(input: CommandInput) {
  const flags = Object.fromEntries(input.flags.entries().filter(([name]) => findFlag(name) !== undefined))
  return { file: input.positionals.config, flags }
}

/** flag > environment > file > default. Errors: as loadConfig. */
export function readConfig(input: CommandInput): LoadedConfig {
  return loadConfig(sources(input))
}

/** The same, key by key with origins, without asking for what is required. */
export function readConfigEntries(input: CommandInput): ConfigEntry[] {
  return resolveEntries(sources(input))
}
