// Look-ups over the table of keys: by dotted name, by flag, by either spelling, and the names to suggest.
import { didYouMean, suggest } from '../errors/index.js'
import { sections, type SectionName } from './keys.js'
import { camelCase, type KeyRow } from './row.js'

export interface TableKey {
  section: SectionName
  /** snake_case */
  name: string
  /** "training.batch_size" */
  dotted: string
  row: KeyRow
}

export const allKeys: readonly TableKey[] = Object.entries(sections).flatMap(([section, rows]) =>
  Object.entries(rows as Readonly<Record<string, KeyRow>>).map(([name, row]) => ({
    section: section as SectionName,
    name,
    dotted: `${section}.${name}`,
    row,
  })),
)

const byDotted = new Map(allKeys.map((key) => [key.dotted, key]))
const byFlag = new Map(allKeys.flatMap((key) => (key.row.flag === undefined ? [] : [[key.row.flag, key] as const])))

export function findKey(dotted: string): TableKey | undefined {
  return byDotted.get(dotted)
}

export function findFlag(flag: string): TableKey | undefined {
  return byFlag.get(flag)
}

/** A key of a section in snake_case or camelCase. */
export function findSpelled(section: SectionName, spelled: string): TableKey | undefined {
  return byDotted.get(`${section}.${spelled}`) ?? allKeys.find((key) => key.section === section && camelCase(key.name) === spelled)
}

export function isSection(name: string): name is SectionName {
  return Object.hasOwn(sections, name)
}

/** What someone who wrote `name` in `section` (or at the top, or as a flag) probably meant. */
export function suggestKey(name: string, section?: SectionName): string {
  const known = (key: TableKey): boolean => key.name === name || camelCase(key.name) === name || (key.row.aka?.includes(name) ?? false)
  const inSection = allKeys.filter((key) => key.section === section)
  const exact = inSection.find(known) ?? allKeys.find(known)
  if (exact !== undefined) return `did you mean "${exact.section === section ? exact.name : exact.dotted}"?`
  const [near] = suggest(name, inSection.map((key) => key.name))
  if (near !== undefined) return `did you mean "${near}"?`
  const [elsewhere] = suggest(name, allKeys.map((key) => key.name))
  const there = allKeys.find((key) => key.name === elsewhere)
  if (there !== undefined) return `did you mean "${there.dotted}"?`
  return section === undefined ? didYouMean(name, Object.keys(sections)) : didYouMean(name, inSection.map((key) => key.name))
}
