// dataset.columns: which columns of the data stand for the fields of a format, as {"prompt": "question", "completion": "answer"} or
// {"text": ["title", "body"]}. Only these are read.
import { didYouMean, fail } from '../../core/errors/index.js'
import { quotedName } from '../../utils/printable.js'
import type { RowValue } from '../types.js'
import type { ParseResult, RowFormat } from './format.js'
import { formats, knownShapes } from './index.js'
import { joinColumns, type ColumnStrategy } from './strategies.js'

/** Field → column, or several that are joined. */
export type ColumnMap = Readonly<Partial<Record<string, string | readonly string[]>>>

/** Fields under other names that people know them by. */
const aliases: ReadonlyMap<string, string> = new Map([['response', 'output'], ['question', 'instruction'], ['answer', 'output']])

/** A number or truth value that stands for a text becomes one. */
const textFields = new Set(['text', 'prompt', 'completion', 'instruction', 'input', 'output', 'system'])

export class MappedStrategy implements ColumnStrategy {
  readonly name: string
  readonly columns: readonly string[]
  readonly #format: RowFormat
  readonly #fields: readonly (readonly [string, string | readonly string[]])[]
  readonly #separator: string

  /** Errors: FT_INVALID_CONFIG when the fields are those of no format. */
  constructor(map: ColumnMap, { separator = '\n' }: { separator?: string } = {}) {
    const fields = Object.entries(map).flatMap(([field, columns]) => (columns === undefined ? [] : [[isField(field) ? field : (aliases.get(field) ?? field), columns] as const]))
    this.#format = formatOf(fields.map(([field]) => field))
    this.name = this.#format.name
    this.columns = fields.flatMap(([, columns]) => columns)
    this.#fields = fields
    this.#separator = separator
  }

  parse(row: RowValue): ParseResult {
    const mapped: Record<string, unknown> = {}
    for (const [field, columns] of this.#fields) {
      if (typeof columns !== 'string') {
        const joined = joinColumns(row, columns, this.#separator)
        if ('problem' in joined) return joined
        mapped[field] = joined.text
      } else if (Object.hasOwn(row, columns)) {
        const value = row[columns]
        mapped[field] = textFields.has(field) && (typeof value === 'number' || typeof value === 'boolean') ? String(value) : value
      } else if (this.#format.columns.includes(field)) {
        return { problem: `the column ${quotedName(columns)} (dataset.columns.${field}) is missing` }
      }
    }
    const parsed = this.#format.parse(mapped)
    return 'problem' in parsed ? { problem: this.#inColumns(parsed.problem) } : parsed
  }

  /** The format speaks of its fields; the data have columns. */
  #inColumns(problem: string): string {
    const field = this.#fields.find(([name]) => problem.startsWith(`${name}:`) || problem.startsWith(`${name}.`))
    if (field === undefined || typeof field[1] !== 'string' || field[1] === field[0]) return problem
    return `column ${quotedName(field[1])} as ${problem}`
  }
}

function allFields(): string[] {
  return [...new Set([...formats.entries()].flatMap(([, format]) => [...format.columns, ...(format.optional ?? [])]))]
}

function isField(name: string): boolean {
  return allFields().includes(name)
}

function formatOf(fields: readonly string[]): RowFormat {
  const known = allFields()
  const unknown = fields.find((field) => !known.includes(field))
  if (unknown !== undefined) fail('FT_INVALID_CONFIG', `dataset.columns: there is no field ${quotedName(unknown)}`, { remedy: didYouMean(unknown, known) })
  const fits = [...formats.entries()].map(([, format]) => format).find((format) => {
    const own = [...format.columns, ...(format.optional ?? [])]
    return format.columns.every((column) => fields.includes(column)) && fields.every((field) => own.includes(field))
  })
  return fits ?? fail('FT_INVALID_CONFIG', `dataset.columns: the fields ${fields.join(', ') || '(none)'} together are no known shape`, {
    remedy: `map every field of one shape: ${knownShapes()}`,
  })
}
