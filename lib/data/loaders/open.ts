// A data file as rows, whatever it is and wherever it comes from.
import { fail, FineTuneError, makeError } from '../../core/errors/index.js'
import type { DataFile } from '../sources/find.js'
import type { LoadedRow } from '../types.js'
import { DatasetLoaderRegistry } from './index.js'
import { openBatches, type DatasetLoader, type LoadOptions, type RowBatch } from './loader.js'
import { isRow, kindOf } from './parse-row.js'

/** In batches, beginning exactly at `options.from`. */
export async function* readFileBatches(file: DataFile, options: LoadOptions = {}): AsyncGenerator<RowBatch> {
  const { rows } = file
  if (rows !== undefined) return yield* openBatches({ load: () => programRows(file.path, rows) }, file.path, options)
  const read = { ...file.read, ...options }
  const loader = await DatasetLoaderRegistry.forFile(file.path, read)
  if (loader.batches !== undefined) return yield* openBatches(loader, file.path, read)
  if (read.source === undefined) return yield* openBatches({ load: () => outsideRows(loader, file.path, read) }, file.path, read)
  // A loader from outside knows files of this machine only.
  const { source, ...rest } = read
  if (source.file === undefined) fail('FT_DATASET', `the loader ${loader.name} reads files, and not ${source.name}`, { remedy: 'save it to a file and name that' })
  const local = await source.file(options.signal)
  yield* openBatches({ load: () => outsideRows(loader, local, rest) }, local, rest)
}

/** What a loader of somebody else gives, held to what a loader gives. Errors: FT_DATASET, FT_PLUGIN naming the loader. */
async function* outsideRows(loader: DatasetLoader, file: string, options: LoadOptions): AsyncGenerator<LoadedRow> {
  try {
    for await (const row of loader.load(file, options)) {
      if (isLoaded(row)) yield row
      else fail('FT_PLUGIN', `the loader ${loader.name} gives something that is no row for ${file}`, { remedy: 'yield { place: { file, line }, value: row }, or { place, problem: reason }' })
    }
  } catch (error) {
    if (error instanceof FineTuneError || options.signal?.aborted) throw error
    throw makeError('FT_DATASET', `the loader ${loader.name} failed on ${file}: ${error instanceof Error ? error.message : String(error)}`, { remedy: 'check the file; --verbose shows where the loader failed', details: { path: file, loader: loader.name }, cause: error })
  }
}

function isLoaded(row: unknown): row is LoadedRow {
  if (typeof row !== 'object' || row === null) return false
  const { place, value, problem } = row as { place?: { file?: unknown; line?: unknown }; value?: unknown; problem?: unknown }
  return typeof place?.file === 'string' && Number.isInteger(place.line) && (isRow(value) || typeof problem === 'string')
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
