// One section of a configuration by itself, as a program gives it: names and values are checked as those of a whole configuration
// are; defaults and the rules over several keys are left to whoever has the rest.
import { sectionLayer } from './layers.js'
import type { SectionName } from './keys.js'
import { failWith, type Problem } from './problems.js'
import { checkGiven } from './resolve.js'
import { camelCase } from './row.js'

/** By camelCase name. @param where as messages name it. Errors: FT_INVALID_CONFIG, FT_UNKNOWN_CONFIG_KEY. */
export function readSection(section: SectionName, given: object, where: string): Readonly<Record<string, unknown>> {
  const layer = sectionLayer(section, given as Readonly<Record<string, unknown>>, 'code', () => where)
  const problems: Problem[] = [...layer.problems]
  const read = layer.given.flatMap((one) => checkGiven(one, problems) ?? [])
  failWith(problems)
  return Object.fromEntries(read.map(({ key, value }) => [camelCase(key.name), value]))
}
