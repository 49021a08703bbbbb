// The flags that follow from the table, light enough for --help: no zod.
import { sectionTitles } from './keys.js'
import { choicesOf } from './choices.js'
import type { Kind, KeyRow } from './row.js'
import { allKeys } from './table.js'

export interface FlagSpec {
  kind: Kind
  describe: string
  /** What `--no-<flag>` does: help shows that form. */
  describeNo?: string
  /** Heading in help. */
  group: string
  /** "<folder>" */
  valueName?: string
  choices?: readonly string[]
  /** As shown in help. */
  defaultText?: string
}

/** By kebab-case name, in table order. */
export function configFlags(): Record<string, FlagSpec> {
  const flags: Record<string, FlagSpec> = {}
  for (const { section, row } of allKeys) {
    if (row.flag === undefined) continue
    flags[row.flag] = {
      kind: row.kind,
      describe: withFlagNames(row.describe),
      describeNo: row.describeNo,
      group: sectionTitles[section],
      valueName: row.valueName,
      choices: choicesOf(row),
      defaultText: withFlagNames(defaultText(row)),
    }
  }
  return flags
}

/** Texts of the table speak of keys; who reads help has flags before them: "save_steps" → "--save-steps". */
function withFlagNames<Text extends string | undefined>(text: Text): Text {
  return text?.replaceAll(/\b(?:[a-z]+\.)?([a-z]+(?:_[a-z]+)+)\b/g, (whole, name: string) => {
    const flag = allKeys.find((key) => key.name === name)?.row.flag
    return flag === undefined ? whole : `--${flag}`
  }) as Text
}

/** Under another heading. */
export function inGroup(group: string, flags: Record<string, FlagSpec>): Record<string, FlagSpec> {
  return Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, { ...flag, group }]))
}

/** Some of them, for commands that share a few: pickConfigFlags('model', 'dtype'). */
export function pickConfigFlags(...names: readonly string[]): Record<string, FlagSpec> {
  const flags = configFlags()
  return Object.fromEntries(names.map((name) => {
    const flag = flags[name]
    if (flag === undefined) throw new Error(`no configuration key has the flag --${name}`)
    return [name, flag]
  }))
}

/** The default in words, or undefined where nothing stands for the key. */
export function defaultText(row: KeyRow): string | undefined {
  if (row.defaultText !== undefined) return row.defaultText
  if (row.default === undefined || typeof row.default === 'function') return undefined
  return typeof row.default === 'string' ? row.default : JSON.stringify(row.default)
}
