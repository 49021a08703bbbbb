// The table of row formats, most specific first: the first whose columns a row has reads it. To add one: a file
// beside this one and a line here.
import { names, Registry } from '../../core/registry.js'
import type { RowValue } from '../types.js'
import type { RowFormat } from './format.js'
import { messagesFormat } from './messages.js'
import { promptCompletionFormat } from './prompt-completion.js'
import { textFormat } from './text.js'
import { tokenizedFormat } from './tokenized.js'

export type { ParsedRow, ParseResult, RowFormat } from './format.js'

export const formats = new Registry<RowFormat>(names.formats)

for (const format of [tokenizedFormat, messagesFormat, promptCompletionFormat, textFormat]) formats.register(format.name, format)

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
