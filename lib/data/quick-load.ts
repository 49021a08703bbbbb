// quickLoad: the rows of a file as objects, for programs that look at data before they train on it.
import { fail } from '../core/errors/index.js'
import { checkOptions } from '../core/options.js'
import { DatasetLoaderRegistry, findDataFiles } from './loaders/index.js'
import { placeText, type RowValue } from './types.js'

/** Every row in memory. Errors: FT_DATASET, FT_DATASET_ROW, FT_EMPTY_DATASET. */
export async function quickLoad(paths: string | readonly string[], options: { signal?: AbortSignal } = {}): Promise<RowValue[]> {
  checkOptions('quickLoad', options, { signal: true })
  const rows: RowValue[] = []
  for (const file of await findDataFiles(paths)) {
    const loader = await DatasetLoaderRegistry.forFile(file.path)
    for await (const row of loader.load(file.path, options)) {
      if ('problem' in row) fail('FT_DATASET_ROW', `${placeText(row.place)}: ${row.problem}`, { remedy: 'repair this row', details: { ...row.place } })
      rows.push(row.value)
    }
  }
  if (rows.length === 0) fail('FT_EMPTY_DATASET', `no row in ${[paths].flat().join(', ')}`, { remedy: 'write one JSON object a line' })
  return rows
}
