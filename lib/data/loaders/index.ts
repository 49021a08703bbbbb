// The table of loaders. To add one: a file beside this one and a line here.
import { jsonLoader } from './json.js'
import { jsonlLoader } from './jsonl.js'
import { LoaderRegistry, type DatasetLoader } from './registry.js'

export const DatasetLoaderRegistry = new LoaderRegistry()

for (const loader of [jsonlLoader, jsonLoader]) DatasetLoaderRegistry.register(loader)

/** Adds a loader, for example from a plugin; its name must be free unless `replace` is set. */
export function registerLoader(loader: DatasetLoader, options: { replace?: boolean } = {}): void {
  DatasetLoaderRegistry.register(loader, options)
}

export { findDataFiles, type DataFile } from './files.js'
export type { DatasetLoader, LoaderRegistry, LoadOptions } from './registry.js'
