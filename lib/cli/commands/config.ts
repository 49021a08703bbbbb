// ft-native config: validate a file, show every value with its origin, or print the JSON Schema.
import { configFlags, configJsonSchema, environmentVariable, type ConfigEntry } from '../../core/config/index.js'
import { fail } from '../../core/errors/index.js'
import { redactDeep, redactNames } from '../../core/redact.js'
import type { Command, CommandInput } from '../command.js'
import { configPositional, readConfig, readConfigEntries } from '../config-input.js'
import type { CliContext } from '../context.js'

const actions = ['validate', 'show', 'schema'] as const

export const config = {
  positionals: [
    { name: 'action', describe: 'what to do', choices: actions },
    configPositional,
  ],
  flags: configFlags,
  examples: [
    'ft-native config validate config.yaml',
    'ft-native config show config.yaml --learning-rate 1e-4',
    'ft-native config schema > config.schema.json',
  ],
  async run(input, context) {
    switch (input.positionals.action as (typeof actions)[number]) {
      case 'validate':
        return validate(input, context)
      case 'show':
        return show(input, context)
      case 'schema':
        return printSchema(context)
    }
  },
} satisfies Command

/** Would `train` with this file, these flags and this environment get past the configuration? */
function validate(input: CommandInput, context: CliContext): void {
  const file = input.positionals.config ?? fail('FT_USAGE', 'no configuration file given', { remedy: 'ft-native config validate <file>' })
  readConfig(input)
  context.document({ valid: true, file })
  context.print(`${file} is valid`)
}

function show(input: CommandInput, context: CliContext): void {
  const entries = readConfigEntries(input)
  context.document(redactDeep(documentOf(entries), process.env, redactNames))
  context.print(redactNames(tableOf(entries)))
}

function documentOf(entries: readonly ConfigEntry[]) {
  const values: Record<string, Record<string, unknown>> = {}
  const origins: Record<string, { origin: string; where?: string }> = {}
  for (const { key, value, origin, where } of entries) {
    if (value !== undefined) (values[key.section] ??= {})[key.name] = value
    origins[key.dotted] = where === '' ? { origin } : { origin, where }
  }
  return { config: values, origins }
}

function tableOf(entries: readonly ConfigEntry[]): string {
  const rows = entries.map(({ key, value, origin, where }) => ({
    key: key.dotted,
    value: value === undefined ? unsetText(key.row) : typeof value === 'string' ? value : JSON.stringify(value),
    origin: where === '' || origin === 'environment' ? origin : `${origin} (${where})`,
    variable: origin === 'environment' ? ` (${environmentVariable(key)})` : '',
  }))
  const keyWidth = Math.max(...rows.map((row) => row.key.length))
  const valueWidth = Math.min(40, Math.max(...rows.map((row) => row.value.length)))
  return rows.map((row) => `${row.key.padEnd(keyWidth)}  ${row.value.padEnd(valueWidth)}  ${row.origin}${row.variable}`).join('\n')
}

function unsetText(row: { required?: true; defaultText?: string }): string {
  if (row.required) return '(missing)'
  return row.defaultText === undefined ? '–' : `(${row.defaultText})`
}

function printSchema(context: CliContext): void {
  const schema = configJsonSchema()
  context.document(schema)
  context.print(JSON.stringify(schema, null, 2))
}
