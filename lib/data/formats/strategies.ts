// Columns that no format knows by their names: one column, several joined, an instruction with its response, or a text
// written around them. `dataset.columns`, `dataset.template` and the detector each end in one of these.
import { fail } from '../../core/errors/index.js'
import { checkOptions } from '../../core/options.js'
import { quotedName } from '../../utils/printable.js'
import { kindOf } from '../loaders/parse-row.js'
import type { RowValue } from '../types.js'
import { readInstruction } from './alpaca.js'
import { findBrokenText, type ParseResult } from './format.js'

export interface ColumnStrategy {
  /** "single_column" */
  readonly name: string
  /** What it reads. */
  readonly columns: readonly string[]
  /** `problem` names the column and what was expected, never the content. */
  parse(row: RowValue): ParseResult
}

/** A column's text. Numbers and truth values are written out, null is nothing. Reads own columns only, whatever their name. */
export function readColumn(row: RowValue, column: string, { required = true } = {}): { text: string } | { problem: string } {
  const shown = quotedName(column)
  if (!Object.hasOwn(row, column)) return required ? { problem: `the column ${shown} is missing` } : { text: '' }
  const value = row[column]
  if (value === null || value === undefined) return required ? { problem: `column ${shown}: expected a text, got ${kindOf(value)}` } : { text: '' }
  if (typeof value === 'number' || typeof value === 'boolean') return { text: String(value) }
  if (typeof value !== 'string') return { problem: `column ${shown}: expected a text, got ${kindOf(value)}` }
  const broken = findBrokenText(value, `column ${shown}`)
  return broken === null ? { text: value } : { problem: broken }
}

/** One column is the text. */
export class SingleColumnStrategy implements ColumnStrategy {
  readonly name = 'single_column'
  readonly columns: readonly string[]

  constructor(column: string) {
    this.columns = checkColumns('SingleColumnStrategy', [column])
  }

  parse(row: RowValue): ParseResult {
    const read = readColumn(row, this.columns[0] as string)
    return 'problem' in read ? read : { kind: 'text', text: read.text }
  }
}

/** Several columns, in this order, are the text; those that hold nothing are left out with their separator. */
export class MultiColumnStrategy implements ColumnStrategy {
  readonly name = 'multi_column'
  readonly columns: readonly string[]
  readonly separator: string

  constructor(columns: readonly string[], { separator = '\n' }: { separator?: string } = {}) {
    this.columns = checkColumns('MultiColumnStrategy', columns)
    this.separator = separator
  }

  parse(row: RowValue): ParseResult {
    const joined = joinColumns(row, this.columns, this.separator)
    if ('problem' in joined) return joined
    return joined.text === '' ? { problem: `the columns ${this.columns.map((name) => quotedName(name)).join(', ')} hold no text` } : { kind: 'text', text: joined.text }
  }
}

export function joinColumns(row: RowValue, columns: readonly string[], separator: string): { text: string } | { problem: string } {
  const texts: string[] = []
  for (const column of columns) {
    if (!Object.hasOwn(row, column)) return { problem: `the column ${quotedName(column)} is missing` }
    const read = readColumn(row, column, { required: false })
    if ('problem' in read) return read
    if (read.text !== '') texts.push(read.text)
  }
  return { text: texts.join(separator) }
}

export interface InstructionColumns {
  instruction: string
  response: string
  /** More about the instruction. */
  input?: string
  system?: string
}

/** One column asks, one answers: as alpaca rows are. */
export class InstructionStrategy implements ColumnStrategy {
  readonly name = 'instruction'
  readonly columns: readonly string[]
  readonly #columns: InstructionColumns

  constructor(columns: InstructionColumns) {
    checkOptions('InstructionStrategy', columns, { instruction: true, response: true, input: true, system: true })
    const { instruction, response, input, system } = columns
    this.columns = checkColumns('InstructionStrategy', [instruction, response, ...(input === undefined ? [] : [input]), ...(system === undefined ? [] : [system])])
    this.#columns = { ...columns }
  }

  parse(row: RowValue): ParseResult {
    const { instruction: asks, response: answers, input: more, system: frames } = this.#columns
    const instruction = readColumn(row, asks)
    if ('problem' in instruction) return instruction
    const output = readColumn(row, answers)
    if ('problem' in output) return output
    const input = more === undefined ? { text: '' } : readColumn(row, more, { required: false })
    if ('problem' in input) return input
    const system = frames === undefined ? { text: '' } : readColumn(row, frames, { required: false })
    if ('problem' in system) return system
    return readInstruction({ instruction: instruction.text, output: output.text, input: input.text, system: system.text, history: [] })
  }
}

function checkColumns(strategy: string, columns: readonly string[]): readonly string[] {
  const bad = !Array.isArray(columns) || columns.length === 0 || columns.some((column) => typeof column !== 'string' || column === '')
  if (bad) fail('FT_INVALID_ARGUMENT', `${strategy} needs the names of columns`, { remedy: 'pass non-empty texts' })
  return [...columns]
}
