// `train --resume` alone is enough: without a configuration file and without --model, the one that the run wrote is read,
// and the run goes on in its own folder wherever that is now.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { environmentVariable, missingKeys } from '../core/config/index.js'
import { fail } from '../core/errors/index.js'
import { readConfigEntries } from './config-input.js'
import type { CommandInput } from './command.js'
import { ParsedFlags } from './parsed-flags.js'

const savedFile = 'ft_config.yaml'

/** Errors: FT_MISSING_CONFIG when there is none and the model or the data is not given otherwise. */
export function withSavedConfig(input: CommandInput): CommandInput {
  const resume = input.flags.raw('resume')
  if (input.positionals.config !== undefined || input.flags.has('model') || resume === undefined || resume === false) return input
  const named = typeof resume === 'string' ? resume : (input.flags.text('output') ?? './output')
  const file = path.join(named, savedFile)
  if (!existsSync(file)) return withoutFile(input, named)
  const run = /^checkpoint-\d+$/.test(path.basename(path.resolve(named))) ? path.dirname(path.resolve(named)) : named
  const flags = input.flags.has('output') ? input.flags : new ParsedFlags(new Map([...input.flags.entries(), ['output', run]]))
  return { positionals: { ...input.positionals, config: file }, flags }
}

/** The environment may name model and data too. */
function withoutFile(input: CommandInput, folder: string): CommandInput {
  const missing = missingKeys(readConfigEntries(input))
  if (missing.length === 0) return input
  const file = path.join(folder, savedFile)
  const names = missing.map((key) => key.dotted)
  const what = existsSync(folder) ? `the folder has no ${savedFile}` : 'there is no such folder'
  return fail('FT_MISSING_CONFIG', `--resume ${folder}: ${what}, and ${names.join(' and ')} ${names.length > 1 ? 'are' : 'is'} not given either`, {
    remedy: `name the folder that holds the run's ${savedFile}, or give ${missing.map((key) => `--${key.row.flag ?? environmentVariable(key)}`).join(' and ')} as the run had them`,
    details: { file, missing: names },
  })
}
