// Row → what it is: the user's schema first, then the columns or the template that were named, else the format whose columns
// it has, else what the detector found.
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
  /** Reads rows that are no known shape: what a detector found out about the data. */
  #fallback: ColumnStrategy | null = null
  /** Why no detector could say. */
  #undetected: string | null = null
  /** How the columns were found, in words. */
  detection: readonly string[] = []

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

  /** No format knows the row, and nothing says how to read it: a detector may. */
  wantsDetection(row: RowValue): boolean {
    return this.#strategy === null && this.#fallback === null && findFormat(row) === undefined
  }

  /** Takes what the detector makes of the sample; where it cannot say, rows of unknown columns stay faulty. */
  detect(sample: TextColumnDetector): void {
    try {
      const { columns, reasons } = sample.detect()
      this.#fallback = new MappedStrategy(columns)
      this.detection = reasons
    } catch (error) {
      if (!(error instanceof FineTuneError) || error.code !== 'FT_NO_TEXT_COLUMNS') throw error
      this.#undetected = error.message
    }
  }

  read(row: RowValue): ReadResult {
    const misfit = this.#check?.(row) ?? null
    if (misfit !== null) return { problem: misfit }
    if (this.#strategy !== null) return through(this.#strategy, row)
    const format = findFormat(row)
    if (format !== undefined) {
      const parsed = format.parse(row)
      return 'problem' in parsed ? parsed : { row: exactly(parsed), shape: format.name }
    }
    if (this.#fallback !== null) return through(this.#fallback, row)
    return {
      problem: this.#undetected ?? `this row has the columns ${columnsOf(row)}, which are no known shape`,
      code: 'FT_NO_TEXT_COLUMNS',
      remedy: `known shapes: ${knownShapes()}; rename the columns, or name them with --columns or --template`,
    }
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
