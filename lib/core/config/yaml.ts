// The resolved configuration as a YAML file that can be given back: snake_case, in table order, with the
// JSON Schema named for editors and secrets removed.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { namesHubData, namesHubRepository } from '../hub-name.js'
import type yaml from 'yaml'
import { redactDeep, redactNames } from '../redact.js'
import { sections, type SectionName } from './keys.js'
import { camelCase } from './row.js'
import { allKeys, type TableKey } from './table.js'
import type { ResolvedConfig } from './types.js'

/** docs/config.schema.json of this package. */
export const schemaPath = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../docs/config.schema.json')

const globCharacters = /[*?[{]/

export interface YamlOptions {
  /** The file the text is for: the schema is named relative to it. */
  file?: string
  /** Paths that hold from any directory: for a file that outlives this one's working directory. */
  absolutePaths?: boolean
}

export function configToYaml(config: ResolvedConfig, options: YamlOptions = {}): string {
  const { stringify } = createRequire(import.meta.url)('yaml') as typeof yaml
  const body = stringify(redactDeep(configToObject(config, options), process.env, redactNames), { lineWidth: 0 })
  return `# yaml-language-server: $schema=${schemaReference(options.file)}\n${body}`
}

/** Plain snake_case data, without what is not set and what concerns one command line only. */
export function configToObject(config: ResolvedConfig, { absolutePaths = false }: YamlOptions = {}): Record<SectionName, Record<string, unknown>> {
  const result = Object.fromEntries(Object.keys(sections).map((section) => [section, {}])) as Record<SectionName, Record<string, unknown>>
  for (const key of allKeys) {
    const value: unknown = (config[key.section] as Readonly<Record<string, unknown>>)[camelCase(key.name)]
    if (value !== undefined && !key.row.transient && !comesFromAdapter(config, key)) result[key.section][key.name] = absolutePaths ? withAbsolutePaths(key, value) : value
  }
  for (const section of Object.keys(result) as SectionName[]) {
    if (Object.keys(result[section]).length === 0) delete (result as Partial<typeof result>)[section]
  }
  return result
}

function withAbsolutePaths({ row }: TableKey, value: unknown): unknown {
  if (row.path === undefined) return value
  const absolute = (text: string): string => {
    if (row.path === 'or name' && !existsSync(text)) return text
    if (row.path === 'or hub name' && namesHubRepository(text)) return text
    if (row.path === 'or data name' && (text === '-' || namesHubData(text))) return text
    // Below a folder with such a name the pattern would be another one.
    if (globCharacters.test(text) && globCharacters.test(process.cwd())) return text
    return path.resolve(text)
  }
  if (typeof value === 'string') return absolute(value)
  return Array.isArray(value) ? value.map((one: unknown) => (typeof one === 'string' ? absolute(one) : withAbsolutePath(one, absolute))) : value
}

/** Of a list's entry that is a source. */
function withAbsolutePath(source: unknown, absolute: (text: string) => string): unknown {
  const { path: text } = source as { path: unknown }
  return typeof text === 'string' ? { ...(source as object), path: absolute(text) } : source
}

/** With training.adapter these come from its configuration; written down as defaults they would contradict it. */
function comesFromAdapter(config: ResolvedConfig, key: TableKey): boolean {
  return config.training.adapter !== undefined && key.section === 'lora' && key.name !== 'lora_dropout' && (config.origins[key.dotted] ?? 'default') === 'default'
}

function schemaReference(file: string | undefined): string {
  if (!existsSync(schemaPath)) return 'ft-native/docs/config.schema.json'
  if (file === undefined) return pathToFileURL(schemaPath).href
  const relative = path.relative(path.dirname(path.resolve(file)), schemaPath)
  return path.isAbsolute(relative) ? pathToFileURL(schemaPath).href : relative.split(path.sep).join('/')
}
