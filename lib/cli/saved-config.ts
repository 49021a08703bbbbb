// `train --resume` alone is enough: without a configuration file and without --model, the one that the run wrote is read,
// and the run goes on in its own folder wherever that is now.
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { CommandInput } from './command.js'
import { ParsedFlags } from './parsed-flags.js'

const savedFile = 'ft_config.yaml'

export function withSavedConfig(input: CommandInput): CommandInput {
  const resume = input.flags.raw('resume')
  if (input.positionals.config !== undefined || input.flags.has('model') || resume === undefined || resume === false) return input
  const named = typeof resume === 'string' ? resume : (input.flags.text('output') ?? './output')
  const file = path.join(named, savedFile)
  if (!existsSync(file)) return input
  const run = /^checkpoint-\d+$/.test(path.basename(path.resolve(named))) ? path.dirname(path.resolve(named)) : named
  const flags = input.flags.has('output') ? input.flags : new ParsedFlags(new Map([...input.flags.entries(), ['output', run]]))
  return { positionals: { ...input.positionals, config: file }, flags }
}
