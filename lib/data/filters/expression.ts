// expression: rows of which an expression over their columns is true stay: `score > 3 and lang in ("en", "de")`. Compiled by
// filtrex, which reaches the row's own columns and the functions below and nothing else; SQL's spellings AND, =, <> are
// understood. A column that no row has is an error, and so is a comparison that makes no sense for a row.
import { createRequire } from 'node:module'
import type * as filtrex from 'filtrex'
import type { RE2JS } from 're2js'
import type { FilterOptions } from '../../core/config/filters.js'
import { didYouMean, fail, FineTuneError } from '../../core/errors/index.js'
import { printable, quotedName } from '../../utils/printable.js'
import { placeText, type RowPlace, type RowValue } from '../types.js'
import type { FilterKind } from './filter.js'

export const expressionFilter: FilterKind = {
  name: 'expression',
  describe: 'rows of which an expression over their columns is not true',
  open(options) {
    const { keep } = options as FilterOptions<'expression'>
    const expression = new RowExpression(keep)
    return {
      row: ({ value, place }) => (expression.holds(value, place) ? null : 'the expression is not true of it'),
      end: () => expression.checkColumns(),
    }
  },
}

const constants = { true: true, false: false }

class RowExpression {
  readonly #run: (row: RowValue) => unknown
  readonly #asked = new Set<string>()
  readonly #seen = new Set<string>()
  #row: RowValue = {}

  constructor(readonly text: string) {
    const { compileExpression } = createRequire(import.meta.url)('filtrex') as typeof filtrex
    try {
      this.#run = compileExpression(fromSql(text), {
        constants,
        extraFunctions: functions(),
        // Of these the types want all to be there: the first two do what they do anyway.
        operators: { '==': (a, b) => a === b, '!=': (a, b) => a !== b, '~=': matches() },
        customProp: (name, _get, row) => this.#column(name, row as unknown),
      })
    } catch (error) {
      const [, , ...detail] = error instanceof Error ? error.message.split('\n') : []
      fail('FT_INVALID_CONFIG', `the filter expression ${quotedName(text, 200)} cannot be read${detail[1] === undefined ? '' : `: ${detail[1].slice(0, 200).toLowerCase()}`}`, {
        remedy: 'columns by name (\'two words\' in single quotes), texts in double quotes, and, or, not, in, ==, <, ~= …: see docs/data.md', cause: error,
      })
    }
  }

  /** Errors: FT_INVALID_CONFIG for an unknown column, FT_DATASET_ROW where the expression makes no sense for the row. */
  holds(row: RowValue, place: RowPlace): boolean {
    for (const name of Object.keys(row)) if (this.#seen.size < 10_000) this.#seen.add(name)
    this.#row = row
    const result = this.#run(row)
    if (typeof result === 'boolean') return result
    if (result instanceof FineTuneError) throw result
    this.checkColumns()
    if (result instanceof Error && Reflect.get(result, 'I18N_STRING') === 'UNKNOWN_FUNCTION') {
      fail('FT_INVALID_CONFIG', `the filter expression ${quotedName(this.text, 200)}: ${printable(result.message)}`, { remedy: `known: ${[...builtIn, ...Object.keys(functions())].join(', ')}` })
    }
    const reason = result instanceof Error ? result.message : `the result is ${result === null || result === undefined ? 'nothing' : `a ${typeof result}`}, not true or false`
    return fail('FT_DATASET_ROW', `${placeText(place)}: the filter expression ${quotedName(this.text, 200)} cannot be applied: ${reason}`, {
      remedy: 'a column that a row may lack needs a guard, as in exists(score) and score > 3', details: { ...place },
    })
  }

  /** Errors: FT_INVALID_CONFIG for a column that no row so far has. */
  checkColumns(): void {
    for (const name of this.#asked) {
      if (this.#seen.has(name)) continue
      fail('FT_INVALID_CONFIG', `the filter expression ${quotedName(this.text, 200)} names the column ${quotedName(name)}, which no row has`, {
        remedy: didYouMean(name, [...this.#seen].map((known) => quotedName(known).slice(1, -1))), details: { column: name },
      })
    }
  }

  #column(name: string, row: unknown): unknown {
    if (typeof row !== 'object' || row === null) return null
    // `x of y` asks an object inside the row: its names are no columns.
    if (row === this.#row) this.#asked.add(name)
    const value = Object.hasOwn(row, name) ? (row as RowValue)[name] : null
    return typeof value === 'bigint' ? Number(value) : (value ?? null)
  }
}

/** What filtrex brings. */
const builtIn = ['abs', 'ceil', 'floor', 'log', 'log2', 'log10', 'max', 'min', 'round', 'sqrt', 'exists', 'empty'] as const
const asText = (value: unknown): string => (typeof value === 'string' ? value : '')

function functions(): Record<string, (...args: unknown[]) => unknown> {
  return {
    length: (value) => (typeof value === 'string' || Array.isArray(value) ? value.length : 0),
    words: (value) => asText(value).split(/\s+/).filter((word) => word !== '').length,
    lower: (value) => asText(value).toLowerCase(),
    upper: (value) => asText(value).toUpperCase(),
    trim: (value) => asText(value).trim(),
    contains: (value, part) => (Array.isArray(value) ? value.includes(part) : asText(value).includes(asText(part))),
    starts_with: (value, part) => asText(value).startsWith(asText(part)),
    ends_with: (value, part) => asText(value).endsWith(asText(part)),
  }
}

/** RE2: the pattern comes from a file, and must not backtrack. */
function matches(): (value: unknown, pattern: unknown) => boolean {
  const patterns = new Map<string, RE2JS>()
  return (value, given) => {
    const text = asText(given)
    let pattern = patterns.get(text)
    if (pattern === undefined) {
      const { RE2JS: Engine } = createRequire(import.meta.url)('re2js') as { RE2JS: typeof RE2JS }
      try {
        pattern = Engine.compile(text)
      } catch {
        fail('FT_INVALID_CONFIG', `the filter expression's pattern ${quotedName(text, 100)} is no RE2 regular expression`, { remedy: 'look-around and back-references are not supported' })
      }
      if (patterns.size < 100) patterns.set(text, pattern)
    }
    return pattern.matcher(asText(value)).find()
  }
}

/** SQL's spellings outside quotes: AND, OR, NOT, IN in any case, = and <>. */
function fromSql(text: string): string {
  return text.replaceAll(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|<>|[<>=!~]=|=|\b(?:AND|OR|NOT|IN|OF|IF|THEN|ELSE|MOD|TRUE|FALSE)\b/gi, (token) => {
    if (token === '=') return '=='
    if (token === '<>') return '!='
    return /^[A-Za-z]+$/.test(token) ? token.toLowerCase() : token
  })
}
