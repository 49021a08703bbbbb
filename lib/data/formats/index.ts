// The table of row formats, most specific first: the first whose columns a row has reads it. To add one: a file
// beside this one and a line here.
import { names, Registry } from '../../core/registry.js'
import type { RowValue } from '../types.js'
import { alpacaFormat } from './alpaca.js'
import type { RowFormat } from './format.js'
import { messagesFormat } from './messages.js'
import { preferenceFormat } from './preference.js'
import { promptCompletionFormat } from './prompt-completion.js'
import { sharegptFormat } from './sharegpt.js'
import { stepwiseFormat } from './stepwise.js'
import { textFormat } from './text.js'
import { tokenizedFormat } from './tokenized.js'
import { unpairedPreferenceFormat } from './unpaired-preference.js'

export type { Answer, ChatRow, PairRow, ParsedRow, ParseResult, RowFormat, TextRow } from './format.js'

export const formats = new Registry<RowFormat>(names.formats)

const table = [
  tokenizedFormat,
  preferenceFormat,
  unpairedPreferenceFormat,
  stepwiseFormat,
  messagesFormat,
  sharegptFormat,
  promptCompletionFormat,
  alpacaFormat,
  textFormat,
]
for (const format of table) formats.register(format.name, format)

/** undefined: no format knows these columns. A column that is null counts only when nothing else fits. */
export function findFormat(row: RowValue): RowFormat | undefined {
  const has = (column: string): boolean => Object.hasOwn(row, column)
  const holds = (column: string): boolean => has(column) && row[column] != null
  let named: RowFormat | undefined
  for (const [, format] of formats.entries()) {
    if (format.unless?.some(holds)) continue
    if (format.columns.every(holds)) return format
    if (format.columns.every(has)) named ??= format
  }
  return named
}

export function knownShapes(): string {
  return [...formats.entries()].map(([, format]) => format.shape).join(', ')
}
