// What `dataset.filters` may hold, checked where it is given: a filter's name, or { name: options }. The filters
// themselves are in lib/data/filters; a new one has its options here.
import type { z } from 'zod'
import { didYouMean } from '../errors/index.js'
import { names } from '../registry.js'
import { lazily } from '../zod.js'
import type { Problem } from './problems.js'

/** "empty", or { length: { min_characters: 10 } }. */
export type FilterEntry = string | Readonly<Record<string, unknown>>

export interface NamedFilter {
  name: string
  options: Readonly<Record<string, unknown>>
}

const optionSchemas = lazily((z) => {
  const count = z.int().min(0)
  const share = z.number().min(0).max(1)
  const similarity = z.strictObject({ threshold: z.number().min(0.3).max(1).default(0.8), ngram: z.int().min(1).max(20).default(5) })
  const length = z
    .strictObject({ min_characters: count.optional(), max_characters: count.optional(), min_tokens: count.optional(), max_tokens: count.optional() })
    .refine((limits) => Object.keys(limits).length > 0, 'give at least one of min_characters, max_characters, min_tokens, max_tokens')
  return {
    empty: z.strictObject({}),
    length,
    repetition: z.strictObject({ max_lines: share.default(0.3), max_ngrams: share.default(0.3), ngram: z.int().min(2).max(20).default(10), min_words: count.default(50) }),
    control_characters: z.strictObject({ max_share: share.default(0) }),
    exact_duplicates: z.strictObject({}),
    near_duplicates: similarity,
    validation_overlap: similarity,
    expression: z.strictObject({ keep: z.string().min(1).max(10_000) }),
  } as const
})

type Schemas = ReturnType<typeof optionSchemas>
export type FilterName = keyof Schemas
export type FilterOptions<Name extends FilterName> = z.output<Schemas[Name]>

/** The filter with its defaults filled, or what is wrong with it. An expression may be given as its text alone. */
export function readFilter(entry: unknown, where: string): NamedFilter | Problem {
  const remedy = `known: ${names.filters.list().join(', ')}; write a name, or {"name": {options}}`
  const [name, given, ...more] = typeof entry === 'string' ? [entry, {}] : isRecord(entry) ? Object.entries(entry).flat() : []
  if (typeof name !== 'string' || more.length > 0) return { code: 'FT_INVALID_CONFIG', message: `${where}: expected a filter's name, or an object of one name with its options`, remedy }
  if (!names.filters.has(name)) return { code: 'FT_INVALID_CONFIG', message: `${where}: unknown ${names.filters.kind} ${JSON.stringify(name.slice(0, 60))}`, remedy: didYouMean(name, names.filters.list()) }
  const options = name === 'expression' && typeof given === 'string' ? { keep: given } : (given ?? {})
  if (!isRecord(options)) return { code: 'FT_INVALID_CONFIG', message: `${where}: ${name}: expected its options, an object`, remedy }
  const schemas = optionSchemas()
  // A filter that a plugin registered checks its options itself.
  if (!Object.hasOwn(schemas, name)) return { name, options }
  const result = schemas[name as FilterName].safeParse(options)
  if (result.success) return { name, options: result.data }
  const [issue] = result.error.issues
  return { code: 'FT_INVALID_CONFIG', message: `${where}: ${[name, ...(issue?.path ?? [])].join('.')}: ${issue?.message ?? 'not valid'}`, remedy: 'docs/data.md lists the options of each filter' }
}

export function isProblem(read: NamedFilter | Problem): read is Problem {
  return 'code' in read
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
