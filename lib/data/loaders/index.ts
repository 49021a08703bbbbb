// The table of loaders. To add one: a file beside this one and a line here.
import { csvLoader, tsvLoader } from './csv.js'
import { jsonLoader } from './json.js'
import { jsonlLoader } from './jsonl.js'
import type { DatasetLoader } from './loader.js'
import { parquetLoader } from './parquet.js'
import { LoaderRegistry } from './registry.js'
import { txtLoader } from './txt.js'

export const DatasetLoaderRegistry = new LoaderRegistry()

for (const loader of [jsonlLoader, jsonLoader, csvLoader, tsvLoader, txtLoader, parquetLoader]) DatasetLoaderRegistry.register(loader)

/** Adds a loader, for example from a plugin; its name must be free unless `replace` is set. */
export function registerLoader(loader: DatasetLoader, options: { replace?: boolean } = {}): void {
  DatasetLoaderRegistry.register(loader, options)
}

export { openBatches, type DatasetLoader, type LoadOptions, type RowBatch, type RowStart } from './loader.js'
export type { FormatOptions } from './read.js'
export type { LoaderRegistry } from './registry.js'
