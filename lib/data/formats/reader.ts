// Row → what it is: the user's schema first, then the columns or the template that were named, else the format whose columns
// it has, else what the detector found in its file.
import { findFormat, knownShapes, type ParsedRow } from './index.js'
import { TemplateStrategy, unescape, type TemplateConfig } from './column-template.js'
import { MappedStrategy, type ColumnMap } from './columns.js'
import { openRowSchema, type JsonSchema, type RowCheck } from './row-schema.js'
import type { ColumnStrategy } from './strategies.js'
import { fail, FineTuneError, type ErrorCode } from '../../core/errors/index.js'
import { quotedName } from '../../utils/printable.js'
import { exactNotes } from '../exact.js'
import type { TextColumnDetector } from '../detect-columns.js'
import type { RowValue } from '../types.js'

export interface RowShapeOptions {
  /** Field → column, or several that are joined. */
  columns?: ColumnMap
  /** Between columns that are joined. Default "\n". */
  columnSeparator?: string
  /** Text with columns in braces. */
  template?: TemplateConfig
  /** A JSON Schema that each row must fit, or the path of one. */
  rowSchema?: string | JsonSchema
}

export type ReadResult = { row: ParsedRow; shape: string } | { problem: string; code?: ErrorCode; remedy?: string }

const shownColumns = 20

export class RowReader {
  readonly #check: RowCheck | null
  readonly #strategy: ColumnStrategy | null
  /** By file. */
  readonly #detected = new Map<string, Detected>()

  private constructor(check: RowCheck | null, strategy: ColumnStrategy | null) {
    this.#check = check
    this.#strategy = strategy
  }

  /** Errors: FT_INVALID_CONFIG, FT_INCOMPATIBLE_CONFIG. */
  static async open({ columns, columnSeparator = '\n', template, rowSchema }: RowShapeOptions = {}): Promise<RowReader> {
    if (columns !== undefined && template !== undefined) {
      fail('FT_INCOMPATIBLE_CONFIG', 'dataset.columns and dataset.template both say how rows are read', { remedy: 'keep one of them' })
    }
    const check = rowSchema === undefined ? null : await openRowSchema(rowSchema)
    const strategy = template !== undefined ? new TemplateStrategy(template) : columns === undefined ? null : new MappedStrategy(columns, { separator: unescape(columnSeparator) })
    return new RowReader(check, strategy)
  }

  /** How the columns were found, in words; where files differ, of the first file that is read so. */
  get detection(): string[] {
    const distinct = [...this.#detected].filter(([, { meaning }], i, all) => all.findIndex(([, other]) => other.meaning === meaning) === i)
    return distinct.flatMap(([file, { reasons }]) => (distinct.length === 1 ? reasons : reasons.map((reason) => `${file}: ${reason}`)))
  }

  /** Reads the rows of one file: each is looked at by itself. */
  ofFile(name: string): FileReader {
    return new FileReader(this, name)
  }

  /** No format knows the row, and nothing says how to read it: a detector may. */
  wantsDetection(row: RowValue): boolean {
    return this.#strategy === null && findFormat(row) === undefined
  }

  /** What the detector makes of the sample. Where it cannot say, an earlier file with the same columns may; else rows of unknown columns stay faulty. */
  detect(sample: TextColumnDetector, file: string, columns: string): Detected | { undetected: string } {
    try {
      const found = sample.detect()
      const detected = { strategy: new MappedStrategy(found.columns), reasons: found.reasons, meaning: JSON.stringify(found.columns), columns }
      this.#detected.set(file, detected)
      return detected
    } catch (error) {
      if (!(error instanceof FineTuneError) || error.code !== 'FT_NO_TEXT_COLUMNS') throw error
      return [...this.#detected.values()].find((one) => one.columns === columns) ?? { undetected: error.message }
    }
  }

  /** @param fallback reads rows that are no known shape @param undetected why there is none */
  read(row: RowValue, { fallback, undetected }: { fallback?: ColumnStrategy; undetected?: string } = {}): ReadResult {
    const misfit = this.#check?.(row) ?? null
    if (misfit !== null) return { problem: misfit }
    if (this.#strategy !== null) return through(this.#strategy, row)
    const format = findFormat(row)
    if (format !== undefined) {
      const parsed = format.parse(row)
      return 'problem' in parsed ? parsed : { row: exactly(parsed), shape: format.name }
    }
    if (fallback !== undefined) return through(fallback, row)
    return {
      problem: undetected ?? `this row has the columns ${columnsOf(row)}, which are no known shape`,
      code: 'FT_NO_TEXT_COLUMNS',
      remedy: `known shapes: ${knownShapes()}; rename the columns, or name them with --columns or --template`,
    }
  }
}

interface Detected {
  strategy: ColumnStrategy
  reasons: readonly string[]
  /** Which column is what. */
  meaning: string
  /** Of the first row. */
  columns: string
}

export class FileReader {
  #columns = ''
  #found: { fallback?: ColumnStrategy; undetected?: string } = {}

  constructor(readonly all: RowReader, readonly name: string) {}

  /** @param row the first of the file */
  wantsDetection(row: RowValue): boolean {
    this.#columns = JSON.stringify(Object.keys(row).sort())
    return this.all.wantsDetection(row)
  }

  detect(sample: TextColumnDetector): void {
    const found = this.all.detect(sample, this.name, this.#columns)
    this.#found = 'strategy' in found ? { fallback: found.strategy } : found
  }

  read(row: RowValue): ReadResult {
    return this.all.read(row, this.#found)
  }
}

function through(strategy: ColumnStrategy, row: RowValue): ReadResult {
  const missing = strategy.columns.length > 0 && !strategy.columns.some((column) => Object.hasOwn(row, column))
  if (missing) return { problem: `this row has the columns ${columnsOf(row)}, and none of ${strategy.columns.map((name) => quotedName(name)).join(', ')}`, code: 'FT_NO_TEXT_COLUMNS', remedy: 'name columns that are there' }
  const parsed = strategy.parse(row)
  return 'problem' in parsed ? parsed : { row: exactly(parsed), shape: strategy.name }
}

/** A conversation takes along what its values do not say. */
function exactly(row: ParsedRow): ParsedRow {
  if (row.kind !== 'chat') return row
  const exact = exactNotes({ messages: row.messages, tools: row.tools })
  return exact.length === 0 ? row : { ...row, exact }
}

function columnsOf(row: RowValue): string {
  const columns = Object.keys(row)
  if (columns.length === 0) return '(none)'
  return `${columns.slice(0, shownColumns).map((name) => quotedName(name)).join(', ')}${columns.length > shownColumns ? ` and ${columns.length - shownColumns} more` : ''}`
}
