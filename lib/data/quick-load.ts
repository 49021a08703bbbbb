// quickLoad: the rows of a data set as objects, for programs that look at data before they train on it.
import { fail } from '../core/errors/index.js'
import { checkOptions } from '../core/options.js'
import { streamRows } from './sources/stream.js'
import type { DataInput, SourceSettings } from './sources/types.js'
import { placeText, type RowValue } from './types.js'

/** Every row in memory. Errors: FT_DATASET, FT_DATASET_ROW, FT_EMPTY_DATASET. */
export async function quickLoad(paths: DataInput, options: { read?: SourceSettings; signal?: AbortSignal } = {}): Promise<RowValue[]> {
  checkOptions('quickLoad', options, { read: true, signal: true })
  const rows: RowValue[] = []
  const stream = await streamRows(paths, { settings: options.read, signal: options.signal })
  for await (const row of stream) {
    if ('problem' in row) fail('FT_DATASET_ROW', `${placeText(row.place)}: ${row.problem}`, { remedy: 'repair this row', details: { ...row.place } })
    rows.push(row.value)
  }
  if (rows.length === 0) fail('FT_EMPTY_DATASET', `no row in ${stream.files.map((file) => file.path).join(', ')}`, { remedy: 'write one JSON object a line' })
  return rows
}
