// A data file as rows, whatever it is and wherever it comes from.
import { fail } from '../../core/errors/index.js'
import type { DataFile } from '../sources/find.js'
import type { LoadedRow } from '../types.js'
import { DatasetLoaderRegistry } from './index.js'
import { openBatches, type LoadOptions, type RowBatch } from './loader.js'
import { isRow, kindOf } from './parse-row.js'

/** In batches, beginning exactly at `options.from`. */
export async function* readFileBatches(file: DataFile, options: LoadOptions = {}): AsyncGenerator<RowBatch> {
  const { rows } = file
  if (rows !== undefined) return yield* openBatches({ load: () => programRows(file.path, rows) }, file.path, options)
  const read = { ...file.read, ...options }
  const loader = await DatasetLoaderRegistry.forFile(file.path, read)
  if (loader.batches !== undefined || read.source === undefined) return yield* openBatches(loader, file.path, read)
  // A loader from outside knows files of this machine only.
  const { source, ...rest } = read
  if (source.file === undefined) fail('FT_DATASET', `the loader ${loader.name} reads files, and not ${source.name}`, { remedy: 'save it to a file and name that' })
  yield* openBatches(loader, await source.file(options.signal), rest)
}

/** One by one. */
export async function* readFileRows(file: DataFile, options: LoadOptions = {}): AsyncGenerator<LoadedRow> {
  for await (const batch of readFileBatches(file, options)) yield* batch.rows
}

/** Iterators and streams that rows have been taken from: what they gave is gone. */
const begun = new WeakSet<object>()
/** A method of theirs that what can begin anew does not have: of iterators, and of the two kinds of streams. */
const onceOnly = ['next', 'pipe', 'getReader']

async function* programRows(file: string, rows: NonNullable<DataFile['rows']>): AsyncGenerator<LoadedRow> {
  const values = typeof rows === 'function' ? rows() : rows
  if (begun.has(values)) fail('FT_DATASET', `${file} can be read only once: they come from an iterator or a stream`, { remedy: 'give an array, or a function that makes the rows anew' })
  if (onceOnly.some((name) => name in values)) begun.add(values)
  let line = 0
  for await (const value of values) {
    const place = { file, line: ++line, row: true as const }
    yield isRow(value) ? { place, value } : { place, problem: `a row must be an object, this is ${kindOf(value)}` }
  }
}
