// A configuration file as given values with their lines. YAML and JSON; sections and keys as in the table,
// snake_case or camelCase. Errors: FT_MISSING_CONFIG (no such file), FT_INVALID_CONFIG (not readable as
// YAML or JSON), and problems for unknown keys.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import type yaml from 'yaml'
import { didYouMean, fail } from '../errors/index.js'
import { sections } from './keys.js'
import { sectionLayer, type Layer } from './layers.js'
import { shown } from './problems.js'
import { allKeys, isSection, suggestKey } from './table.js'

const maxBytes = 1 << 20

type LineOf = (path: readonly string[]) => string

export function fileLayer(file: string): Layer {
  const { data, lineOf } = parseFile(file, readText(file))
  const layer: Layer = { given: [], problems: [] }
  if (data === null || data === undefined) return layer
  if (!isMap(data)) fail('FT_INVALID_CONFIG', `${file}: expected sections (${Object.keys(sections).join(', ')}), got ${shown(data)}`, { remedy: 'see docs/configuration.md', details: { file } })
  for (const [name, value] of Object.entries(data)) {
    if (name === '$schema') continue
    if (!isSection(name)) {
      const isKey = allKeys.some((key) => key.name === name || key.row.aka?.includes(name))
      const remedy = isKey || !isMap(value) ? suggestKey(name) : didYouMean(name, Object.keys(sections))
      layer.problems.push({ code: 'FT_UNKNOWN_CONFIG_KEY', message: `${lineOf([name])}: unknown section "${name}"`, remedy })
    } else if (isMap(value)) {
      const found = sectionLayer(name, value, 'file', (spelled) => lineOf([name, spelled]))
      layer.given.push(...found.given)
      layer.problems.push(...found.problems)
    } else if (value !== null) {
      layer.problems.push({ code: 'FT_INVALID_CONFIG', message: `${lineOf([name])}: "${name}" is a section of keys, got ${shown(value)}`, remedy: `put the keys under "${name}:"` })
    }
  }
  return layer
}

function readText(file: string): string {
  try {
    const { size } = fs.statSync(file)
    if (size > maxBytes) fail('FT_INVALID_CONFIG', `${file}: ${size} bytes are no configuration`, { remedy: 'give a YAML or JSON file', details: { file } })
    return fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '')
  } catch (error) {
    if (!(error instanceof Error) || !('errno' in error)) throw error
    return fail('FT_MISSING_CONFIG', `cannot read the configuration file ${file}: ${error.message}`, {
      remedy: 'give the path of a YAML or JSON file',
      details: { file },
      cause: error,
    })
  }
}

function parseFile(file: string, text: string): { data: unknown; lineOf: LineOf } {
  const extension = path.extname(file).toLowerCase()
  if (!['.yaml', '.yml', '.json'].includes(extension)) {
    fail('FT_INVALID_CONFIG', `${file}: a configuration file ends in .yaml, .yml or .json`, {
      remedy: "give the model with --model and the data with --data; quote a glob: --data '*.jsonl'",
      details: { file },
    })
  }
  const { parseDocument, LineCounter, isMap: isYamlMap } = createRequire(import.meta.url)('yaml') as typeof yaml
  const counter = new LineCounter()
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, uniqueKeys: true })
  const lineOf: LineOf = (keys) => {
    let node: unknown = document.contents
    let line = 0
    for (const name of keys) {
      if (!isYamlMap(node)) break
      const pair = node.items.find((item) => String(item.key) === name)
      const range = (pair?.key as { range?: [number, number, number] } | undefined)?.range
      if (range !== undefined) line = counter.linePos(range[0]).line
      node = pair?.value
    }
    return line === 0 ? file : `${file}:${line}`
  }
  return { data: extension === '.json' ? parseJson(file, text) : parseYaml(file, document, counter), lineOf }
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    return fail('FT_INVALID_CONFIG', `${file}: not JSON: ${(error as Error).message}`, { remedy: 'correct the file', details: { file }, cause: error })
  }
}

function parseYaml(file: string, document: yaml.Document.Parsed, counter: yaml.LineCounter): unknown {
  const [first] = document.errors
  if (first !== undefined) {
    const { line, col } = counter.linePos(first.pos[0])
    fail('FT_INVALID_CONFIG', `${file}:${line}:${col}: not YAML: ${first.message}`, { remedy: 'correct the file', details: { file, line, column: col } })
  }
  try {
    return document.toJS({ maxAliasCount: 100 }) as unknown
  } catch (error) {
    return fail('FT_INVALID_CONFIG', `${file}: not YAML: ${(error as Error).message}`, { remedy: 'correct the file', details: { file }, cause: error })
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
