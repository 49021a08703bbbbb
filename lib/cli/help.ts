// Help texts, made from the tables. Loads nothing else, so that it is there at once.
import type { FlagSpec } from '../core/config/flags.js'
import type { Command, CommandRow } from './command.js'
import { globalFlags } from './globals.js'
import type { FlagTable } from './parse.js'

const width = 100

export function mainHelp(rows: readonly CommandRow[]): string {
  return [
    'ft-native: fine-tune language models, in one process, without Python.',
    '',
    'Usage: ft-native <command> [arguments] [flags]',
    '',
    'Commands:',
    ...table(rows.map((row) => [`${row.name} ${row.usage}`.trim(), row.describe])),
    '',
    ...flagGroups(globalFlags),
    'ft-native <command> --help shows the flags of a command. To begin: ft-native demo',
  ].join('\n')
}

export function commandHelp(row: CommandRow, command: Command): string {
  const lines = [row.describe, '', `Usage: ft-native ${row.name} ${row.usage}`.trimEnd() + ' [flags]', '']
  const positionals = command.positionals ?? []
  if (positionals.length > 0) {
    lines.push('Arguments:', ...table(positionals.map((item) => [item.optional ? `[${item.name}]` : `<${item.name}>`, positionalText(item)])), '')
  }
  lines.push(...flagGroups(command.flags()), ...flagGroups(globalFlags))
  if (command.examples !== undefined) lines.push('Examples:', ...command.examples.map((example) => `  ${example}`), '')
  return lines.join('\n').trimEnd()
}

function positionalText(item: { describe: string; choices?: readonly string[] }): string {
  return item.choices === undefined ? item.describe : `${item.describe} (${item.choices.join(', ')})`
}

function flagGroups(flags: FlagTable): string[] {
  const groups = new Map<string, [string, string][]>()
  for (const [name, spec] of Object.entries(flags)) {
    const rows = groups.get(spec.group) ?? []
    rows.push([flagHead(name, spec), flagText(spec)])
    groups.set(spec.group, rows)
  }
  return [...groups].flatMap(([group, rows]) => [`${group}:`, ...table(rows), ''])
}

function flagHead(name: string, spec: FlagSpec): string {
  if (spec.kind === 'boolean') return spec.describeNo === undefined ? `--${name}` : `--no-${name}`
  if (spec.kind === 'toggle') return `--${name} [auto|true|false|<n>]`
  return `--${name} ${spec.valueName ?? shortChoices(spec) ?? placeholders[spec.kind] ?? '<text>'}`
}

const placeholders: Readonly<Record<string, string>> = { integer: '<n>', number: '<x>', choice: '<name>' }

function shortChoices(spec: FlagSpec): string | undefined {
  const text = spec.choices?.join('|')
  return text !== undefined && text.length <= 30 ? text : undefined
}

function flagText(spec: FlagSpec): string {
  const text = spec.describeNo ?? spec.describe
  const choices = spec.choices === undefined || shortChoices(spec) !== undefined ? '' : ` One of ${spec.choices.join(', ')}.`
  const worthSaying = spec.defaultText !== undefined && spec.kind !== 'boolean' && spec.kind !== 'optional'
  return `${text}${choices}${worthSaying ? ` [${spec.defaultText}]` : ''}`
}

/** Two columns; the second wraps. */
function table(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.min(34, Math.max(...rows.map(([head]) => head.length)) + 4)
  return rows.flatMap(([head, text]) => {
    const lines = wrap(text, width - left)
    const first = head.length + 4 > left ? [`  ${head}`, ...indent(lines, left)] : [`  ${head}`.padEnd(left) + (lines[0] ?? ''), ...indent(lines.slice(1), left)]
    return first
  })
}

function indent(lines: readonly string[], columns: number): string[] {
  return lines.map((line) => ' '.repeat(columns) + line)
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return line === '' ? lines : [...lines, line]
}
