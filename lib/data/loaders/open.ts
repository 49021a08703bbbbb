// A data file as rows, whatever it is and wherever it comes from.
import type { LoadedRow } from '../types.js'
import type { DataFile } from './files.js'
import { DatasetLoaderRegistry } from './index.js'
import { openBatches, type LoadOptions, type RowBatch } from './loader.js'

/** In batches, beginning exactly at `options.from`. */
export async function* readFileBatches(file: DataFile, options: LoadOptions = {}): AsyncGenerator<RowBatch> {
  const loader = await DatasetLoaderRegistry.forFile(file.path, options)
  yield* openBatches(loader, file.path, options)
}

/** One by one. */
export async function* readFileRows(file: DataFile, options: LoadOptions = {}): AsyncGenerator<LoadedRow> {
  for await (const batch of readFileBatches(file, options)) yield* batch.rows
}
