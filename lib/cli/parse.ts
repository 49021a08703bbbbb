// A command line as positionals and flags, read by yargs from the tables of flags. Strict: an unknown flag, a flag
// without its value and an argument too many are FT_USAGE with a suggestion. Values stay text; ParsedFlags types them.
// Importing yargs costs 90 ms of CPU: main imports this file only when a command line has to be parsed.
import yargs from 'yargs'
import type { FlagSpec } from '../core/config/flags.js'
import { fail, suggest } from '../core/errors/index.js'
import type { Positional } from './command.js'
import { ParsedFlags, type FlagValue } from './parsed-flags.js'

export type FlagTable = Readonly<Record<string, FlagSpec>>

export interface ParsedLine {
  positionals: Record<string, string | undefined>
  flags: ParsedFlags
}

/** As yargs gives it: false is `--no-<flag>`. */
type GivenValue = string | false

/** @param hint ends the remedy of a usage error: "ft-native train --help lists the flags" */
export function parseLine(args: readonly string[], table: FlagTable, positionals: readonly Positional[], hint: string): ParsedLine {
  const options = Object.fromEntries(Object.keys(table).map((name) => [name, { type: 'string', requiresArg: true } as const]))
  const { _: words, '--': rest = [], ...given } = yargs(normalize(args, table, hint))
    .help(false)
    .version(false)
    .options(options)
    .parserConfiguration({ 'camel-case-expansion': false, 'dot-notation': false, 'parse-numbers': false, 'parse-positional-numbers': false, 'populate--': true })
    .strictOptions()
    .locale('en')
    .exitProcess(false)
    .fail((message) => refuse(message, args, table, hint))
    .parseSync()
  const dashed = words.map(String).find((word) => /^-./.test(word))
  if (dashed !== undefined) refuseUnknown(dashed, table, hint)
  const values = new Map<string, FlagValue>()
  for (const [name, spec] of Object.entries(table)) {
    if (Object.hasOwn(given, name)) values.set(name, flagValue(name, spec, [given[name]].flat() as GivenValue[], table, hint))
  }
  return { positionals: namePositionals([...words, ...(rest as string[])].map(String), positionals, hint), flags: new ParsedFlags(values) }
}

/** Kinds that can stand without a value; the first two have a `--no-` form. */
const switches = new Set(['boolean', 'toggle', 'optional'])
const negatable = new Set(['boolean', 'toggle'])

/** Names that yargs acts on itself instead of calling them unknown. */
const reserved = /^(?:-_|--(?:no-)?(?:_|\$0|get-yargs-completions)(?==|$))/

/**
 * What yargs cannot be told. It takes `--switch=maybe` for false and knows no value that may be left out, so a switch
 * goes to it as a text flag with its value beside it: `--resume out` as `--resume=out`, `--resume` as `--resume=true`.
 */
function normalize(args: readonly string[], table: FlagTable, hint: string): string[] {
  const normal: string[] = []
  for (let index = 0; index < args.length; index++) {
    const word = args[index] as string
    const next = args[index + 1]
    if (word === '--') return [...normal, ...args.slice(index)]
    const kept = reserved.exec(word)
    if (kept !== null) refuseUnknown(kept[0], table, hint)
    const spec = word.startsWith('--') && Object.hasOwn(table, word.slice(2)) ? table[word.slice(2)] : undefined
    const joined = spec !== undefined && next !== undefined && belongsTo(spec, next)
    if (joined) normal.push(`${word}=${next}`)
    else normal.push(spec !== undefined && switches.has(spec.kind) ? `${word}=true` : word)
    if (joined) index += 1
  }
  return normal
}

/** Is the word after a flag its value, where yargs cannot tell? After a switch, a configuration file is an argument of the command. */
function belongsTo(spec: FlagSpec, word: string): boolean {
  if (!switches.has(spec.kind)) return /^-[\d.]/.test(word)
  if (/^(?:true|false)$/i.test(word)) return true
  if (spec.kind === 'toggle') return isToggle(word)
  return spec.kind === 'optional' && !/^-.|\.(?:ya?ml|json)$/i.test(word)
}

/** @param given every value of the flag, in order; all but a list's last are overruled */
function flagValue(name: string, spec: FlagSpec, given: readonly GivenValue[], table: FlagTable, hint: string): FlagValue {
  if (given.includes(false) && !negatable.has(spec.kind)) refuseUnknown(`--no-${name}`, table, hint)
  if (given.includes('') && !negatable.has(spec.kind)) fail('FT_USAGE', `--${name} needs a value`, { remedy: hint })
  const values = given.map((value) => (value !== false && switches.has(spec.kind) ? switchValue(name, spec, value) : value))
  return spec.kind === 'list' && values.length > 1 ? values.map(String) : (values.at(-1) as string | boolean)
}

/** What a toggle takes beside true and false. */
function isToggle(text: string): boolean {
  return text === 'auto' || /^\d+$/.test(text)
}

function switchValue(name: string, spec: FlagSpec, text: string): string | boolean {
  if (/^(?:true|false)$/i.test(text)) return text.toLowerCase() === 'true'
  if (spec.kind === 'optional' || (spec.kind === 'toggle' && isToggle(text))) return text
  const expected = spec.kind === 'toggle' ? 'true, false, auto or a number' : 'true or false'
  return fail('FT_USAGE', `--${name}: expected ${expected}, got "${text}"`, { remedy: `give --${name} alone, or ${expected}` })
}

/** What yargs found wrong, in our words. */
function refuse(message: string, args: readonly string[], table: FlagTable, hint: string): never {
  const valueless = /^Not enough arguments following: (.+)$/.exec(message)?.[1]
  if (valueless !== undefined) fail('FT_USAGE', `--${valueless} needs a value`, { remedy: hint })
  // yargs-parser renames __proto__, and drops the dashes and a `no-`.
  const name = /^Unknown arguments?: ([^,]+)/.exec(message)?.[1]?.replace('___proto___', '__proto__')
  if (name === undefined) fail('FT_USAGE', message, { remedy: hint })
  const typed = [`--${name}`, `--no-${name}`].find((flag) => args.some((word) => word.startsWith(flag)))
  refuseUnknown(typed ?? `-${name}`, table, hint)
}

function refuseUnknown(flag: string, table: FlagTable, hint: string): never {
  const positive = /^--no-(.+)$/.exec(flag)?.[1] ?? ''
  if (Object.hasOwn(table, positive) && negatable.has(table[positive]?.kind ?? '')) fail('FT_USAGE', `${flag} takes no value`, { remedy: hint })
  const [near] = suggest(flag.replace(/^-+/, ''), Object.keys(table))
  fail('FT_USAGE', `unknown flag ${flag}`, { remedy: near === undefined ? hint : `did you mean --${near}?` })
}

function namePositionals(given: readonly string[], positionals: readonly Positional[], hint: string): Record<string, string | undefined> {
  const named: Record<string, string | undefined> = {}
  for (const [index, positional] of positionals.entries()) {
    const word = given[index]
    named[positional.name] = word
    if (word === undefined) {
      if (!positional.optional) fail('FT_USAGE', `<${positional.name}> is missing: ${positional.describe}`, { remedy: hint })
    } else if (positional.choices !== undefined && !positional.choices.includes(word)) {
      const [near] = suggest(word, positional.choices)
      fail('FT_USAGE', `<${positional.name}>: expected ${positional.choices.join(', ')}, got "${word}"`, { remedy: near === undefined ? hint : `did you mean "${near}"?` })
    }
  }
  const extra = given[positionals.length]
  if (extra !== undefined) fail('FT_USAGE', `unexpected argument "${extra}"`, { remedy: hint })
  return named
}
