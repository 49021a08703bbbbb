// The places a value can come from, each as a list of given values: environment, flags, code.
// Files are in file.ts. Unknown names are collected as problems, with a suggestion.
import { didYouMean } from '../errors/index.js'
import type { SectionName } from './keys.js'
import type { Problem } from './problems.js'
import { allKeys, findFlag, findKey, findSpelled, isSection, suggestKey, type TableKey } from './table.js'
import { valueOfText } from './text.js'

export const origins = ['default', 'file', 'environment', 'flag', 'code'] as const
/** Where a value comes from; "code" is ConfigBuilder. */
export type Origin = (typeof origins)[number]

export interface Given {
  key: TableKey
  value: unknown
  origin: Origin
  /** For messages: "config.yaml:12", "--batch-size", "FT_NATIVE_TRAINING__BATCH_SIZE". */
  where: string
}

export interface Layer {
  given: Given[]
  problems: Problem[]
}

const environmentPrefix = 'FT_NATIVE_'

/** FT_NATIVE_TRAINING__BATCH_SIZE=8; other FT_NATIVE_ variables have no "__" and mean something else. */
export function environmentLayer(env: NodeJS.ProcessEnv): Layer {
  const layer: Layer = { given: [], problems: [] }
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(environmentPrefix) || !variable.includes('__') || text === undefined || text === '') continue
    const [section = '', name = ''] = variable.slice(environmentPrefix.length).toLowerCase().split(/__(.*)/s)
    const key = findKey(`${section}.${name}`)
    if (key === undefined) {
      const remedy = isSection(section) ? suggestKey(name, section) : didYouMean(section, sectionNames())
      layer.problems.push({ code: 'FT_UNKNOWN_CONFIG_KEY', message: `${variable}: unknown key "${section}.${name}"`, remedy })
    } else {
      layer.given.push({ key, value: valueOfText(key.row.kind, text), origin: 'environment', where: variable })
    }
  }
  return layer
}

export function environmentVariable(key: TableKey): string {
  return `${environmentPrefix}${key.section}__${key.name}`.toUpperCase()
}

/** Flags by their kebab-case name; undefined means not given. Text and typed values are both fine. */
export function flagLayer(flags: Readonly<Record<string, unknown>>): Layer {
  const layer: Layer = { given: [], problems: [] }
  for (const [flag, value] of Object.entries(flags)) {
    if (value === undefined) continue
    const key = findFlag(flag)
    if (key === undefined) {
      layer.problems.push({ code: 'FT_USAGE', message: `unknown flag --${flag}`, remedy: didYouMean(flag, flagNames()) })
      continue
    }
    const typed = typeof value === 'string' ? valueOfText(key.row.kind, value) : value
    layer.given.push({ key, value: typed, origin: 'flag', where: `--${flag}` })
  }
  return layer
}

/** Options of one section as a program gives them: camelCase or snake_case, not both for one key. */
export function sectionLayer(section: SectionName, options: Readonly<Record<string, unknown>>, origin: Origin, whereOf: (spelled: string) => string): Layer {
  const layer: Layer = { given: [], problems: [] }
  const spelledAs = new Map<string, string>()
  for (const [spelled, value] of Object.entries(options)) {
    const where = whereOf(spelled)
    const key = findSpelled(section, spelled)
    if (key === undefined) {
      layer.problems.push({ code: 'FT_UNKNOWN_CONFIG_KEY', message: `${where}: unknown key "${section}.${spelled}"`, remedy: suggestKey(spelled, section) })
      continue
    }
    const earlier = spelledAs.get(key.name)
    if (earlier !== undefined) {
      layer.problems.push({
        code: 'FT_INVALID_CONFIG',
        message: `${where}: "${section}.${earlier}" and "${section}.${spelled}" are the same key`,
        remedy: `keep ${key.name} only`,
      })
      continue
    }
    spelledAs.set(key.name, spelled)
    // null in a file or program says "not set" where not being set means something.
    if (value === undefined || (value === null && key.row.default === undefined)) continue
    layer.given.push({ key, value, origin, where })
  }
  return layer
}

function sectionNames(): string[] {
  return [...new Set(allKeys.map((key) => key.section))]
}

function flagNames(): string[] {
  return allKeys.flatMap((key) => key.row.flag ?? [])
}
