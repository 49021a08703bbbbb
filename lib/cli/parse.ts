// A command line as positionals and flags, by node:util's tokenizer. Strict: an unknown flag, a flag
// without its value and an argument too many are FT_USAGE with a suggestion. (yargs does the same, but
// takes 100 ms of the 150 that --help may take.)
import { parseArgs } from 'node:util'
import type { FlagSpec } from '../core/config/flags.js'
import { fail, suggest } from '../core/errors/index.js'
import type { Positional } from './command.js'
import { ParsedFlags, type FlagValue } from './parsed-flags.js'

export type FlagTable = Readonly<Record<string, FlagSpec>>

export interface ParsedLine {
  positionals: Record<string, string | undefined>
  flags: ParsedFlags
}

type Token = ReturnType<typeof tokenize>[number]
type OptionToken = Extract<Token, { kind: 'option' }>

/** Kinds that can stand without a value. */
const switches = new Set(['boolean', 'toggle', 'optional'])

function tokenize(args: readonly string[], table: FlagTable) {
  const options: Record<string, { type: 'string' | 'boolean' }> = {}
  for (const [name, spec] of Object.entries(table)) options[name] = { type: switches.has(spec.kind) ? 'boolean' : 'string' }
  return parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true }).tokens
}

/** @param hint ends the remedy of a usage error: "ft-native train --help lists the flags" */
export function parseLine(args: readonly string[], table: FlagTable, positionals: readonly Positional[], hint: string): ParsedLine {
  const words: string[] = []
  const values = new Map<string, FlagValue>()
  const tokens = tokenize(args, table)
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] as Token
    if (token.kind === 'positional') words.push(token.value)
    if (token.kind !== 'option') continue
    const next = tokens[index + 1]
    const follower = next?.kind === 'positional' && next.index === token.index + 1 ? next.value : undefined
    if (readFlag(token, table, values, follower, hint)) index += 1
  }
  return { positionals: namePositionals(words, positionals, hint), flags: new ParsedFlags(values) }
}

/** Puts one flag into `values`; true when it took the following word as its value. */
function readFlag(token: OptionToken, table: FlagTable, values: Map<string, FlagValue>, follower: string | undefined, hint: string): boolean {
  const { name, negated, spec } = lookUp(token, table, hint)
  if (negated) {
    if (token.value !== undefined) fail('FT_USAGE', `${token.rawName} takes no value`, { remedy: hint })
    values.set(name, false)
    return false
  }
  if (!switches.has(spec.kind)) {
    addText(values, name, spec, valueOf(token, hint))
    return false
  }
  if (token.value !== undefined) {
    values.set(name, switchValue(token, spec, String(token.value)))
    return false
  }
  if (follower !== undefined && belongsTo(spec, follower)) {
    values.set(name, switchValue(token, spec, follower))
    return true
  }
  values.set(name, true)
  return false
}

function lookUp(token: OptionToken, table: FlagTable, hint: string): { name: string; negated: boolean; spec: FlagSpec } {
  const isLong = token.rawName.startsWith('--')
  const spec = isLong ? table[token.name] : undefined
  if (spec !== undefined && Object.hasOwn(table, token.name)) return { name: token.name, negated: false, spec }
  const positive = token.name.startsWith('no-') ? token.name.slice(3) : undefined
  const negatable = positive !== undefined && Object.hasOwn(table, positive) ? table[positive] : undefined
  if (isLong && positive !== undefined && (negatable?.kind === 'boolean' || negatable?.kind === 'toggle')) return { name: positive, negated: true, spec: negatable }
  const [near] = suggest(token.name, Object.keys(table))
  return fail('FT_USAGE', `unknown flag ${token.rawName}`, { remedy: near === undefined ? hint : `did you mean --${near}?` })
}

/** The text of a flag that needs one. "-1" is a value, "--other" is not. */
function valueOf(token: OptionToken, hint: string): string {
  const value = token.value
  const isFlag = value !== undefined && !token.inlineValue && /^-[^\d.]/.test(value)
  if (value === undefined || value === '' || isFlag) fail('FT_USAGE', `${token.rawName} needs a value`, { remedy: hint })
  return value
}

function addText(values: Map<string, FlagValue>, name: string, spec: FlagSpec, text: string): void {
  const earlier = values.get(name)
  if (spec.kind !== 'list' || earlier === undefined || typeof earlier === 'boolean') values.set(name, text)
  else values.set(name, typeof earlier === 'string' ? [earlier, text] : [...earlier, text])
}

const words: Readonly<Record<string, boolean>> = { true: true, false: false }

function switchValue(token: OptionToken, spec: FlagSpec, text: string): FlagValue {
  const value = words[text.toLowerCase()]
  if (value !== undefined) return value
  if (spec.kind === 'optional' || (spec.kind === 'toggle' && text === 'auto')) return text
  const expected = spec.kind === 'toggle' ? 'true, false or auto' : 'true or false'
  return fail('FT_USAGE', `${token.rawName}: expected ${expected}, got "${text}"`, { remedy: `give ${token.rawName} alone, or ${expected}` })
}

/** Is the word after a switch its value, or an argument of the command? A configuration file is an argument. */
function belongsTo(spec: FlagSpec, word: string): boolean {
  if (words[word.toLowerCase()] !== undefined) return true
  if (spec.kind === 'toggle') return word === 'auto'
  return spec.kind === 'optional' && !/\.(?:ya?ml|json)$/i.test(word)
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
