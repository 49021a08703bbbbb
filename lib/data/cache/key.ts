// The name of a prepared data set in the cache: SHA-256 of everything that its tokens and its report depend on, and of nothing else.
// Data that only a program has (iterables, functions), streams, and what plugins read have none.
import { createHash } from 'node:crypto'
import path from 'node:path'
import { names } from '../../core/registry.js'
import type { DataFile } from '../sources/find.js'
import type { ChosenTemplate } from '../templates/choose.js'
import type { TextTokenizer } from '../tokenizer/index.js'
import { contentOf } from './content.js'

/** To be raised with every change of what data becomes or how the cache writes it. */
const cacheVersion = 5

/** What came with the package: others may change without their names. */
const builtIn = new Set([...names.loaders.list(), ...names.formats.list(), ...names.filters.list()])

export interface KeyParts {
  train: readonly DataFile[]
  validation: readonly DataFile[]
  tokenizer: TextTokenizer
  template: ChosenTemplate | null
  /** What the template calls now, where it asks. */
  now: string | null
  /** Everything else that was asked for; a file is named by its path. */
  options: Readonly<Record<string, unknown>>
  /** Files that options name. */
  optionFiles: readonly string[]
}

/** null: it cannot be told whether the same would come out again. */
export async function cacheKey(parts: KeyParts, folder: string): Promise<string | null> {
  const known = [...names.loaders.list(), ...names.formats.list(), ...names.filters.list()].every((name) => builtIn.has(name))
  if (!known) return null
  const files: unknown[] = []
  for (const file of [...parts.train, null, ...parts.validation]) {
    if (file === null) {
      files.push('validation')
      continue
    }
    const { source, ...read } = file.read ?? {}
    if (file.rows !== undefined) return null
    // A file of the hub has its hash; standard input has none.
    const content = source === undefined ? await contentOf(file.path, folder) : (source.content ?? null)
    if (content === null) return null
    // Reports name files: another path is another report.
    files.push([source === undefined ? path.resolve(file.path) : file.path, content, plainJson(read), plainJson(file.mix ?? {})])
  }
  const own = await Promise.all([...parts.tokenizer.files, ...parts.optionFiles].map((file) => contentOf(file, folder)))
  if (own.includes(null)) return null
  const { kind, vocabSize, modelVocabSize, controlTokens } = parts.tokenizer
  const options = plainJson(parts.options)
  if (options === null || files.flat().includes(null)) return null
  const whole = [cacheVersion, files, own, { kind, vocabSize, modelVocabSize, controlTokens }, parts.template, parts.now, options]
  return createHash('sha256').update(JSON.stringify(whole)).digest('hex')
}

/** The value as JSON with sorted names; null: it holds something that JSON does not. */
function plainJson(value: unknown): string | null {
  let plain = true
  const text = JSON.stringify(value, (name, item: unknown) => {
    if (name === 'signal') return undefined
    if (typeof item === 'function' || typeof item === 'symbol' || typeof item === 'bigint') plain = false
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item
    const prototype: unknown = Object.getPrototypeOf(item)
    if (prototype !== Object.prototype && prototype !== null) plain = false
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
  return plain ? text : null
}
