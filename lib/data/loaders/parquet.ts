// Parquet (https://parquet.apache.org/docs/file-format/) by hyparquet: row group by row group, and inside a large one some
// rows at a time where its columns are flat. Only the columns that are wanted are read, locally or by range requests.
import { fail, FineTuneError, makeError } from '../../core/errors/index.js'
import type { LoadedRow } from '../types.js'
import { fileSize, localSource, type ByteSource } from './bytes.js'
import { defineLoader, type LoadOptions, type RowBatch } from './loader.js'
import { openParquet, readGroup, type ParquetFile, type RowGroup } from './parquet-file.js'
import { plainValue, ValueFault } from './parquet-values.js'
import { packingName } from './unpack.js'

const magic = 'PAR1'
/** Unpacked bytes of the rows that are decoded together. */
const sliceBytes = 1 << 25
const batchRows = 1024

export const parquetLoader = defineLoader({
  name: 'parquet',
  extensions: ['.parquet', '.pq'],
  recognises: (head) => Buffer.from(head.subarray(0, 4)).toString('latin1') === magic && `it begins with ${magic}`,
  batches,
})

async function* batches(file: string, options: LoadOptions = {}): AsyncGenerator<RowBatch> {
  const { source, size } = await seekable(file, options)
  const parquet = await damaged(source.name, () => openParquet(source, size, options)).catch(async (error: unknown) => {
    await refusePacked(source, options)
    throw error
  })
  const wanted = options.from?.row ?? 0
  let firstRow = 0
  for (const group of parquet.groups) {
    const end = firstRow + group.rows
    if (wanted < end) yield* readRows(parquet, group, firstRow, Math.max(wanted, firstRow), options)
    else options.onBytes?.(group.bytes)
    firstRow = end
  }
}

async function* readRows(parquet: ParquetFile, group: RowGroup, firstRow: number, from: number, options: LoadOptions): AsyncGenerator<RowBatch> {
  const { name } = parquet.source
  options.signal?.throwIfAborted()
  const reader = await damaged(name, () => readGroup(parquet, group, options))
  options.onBytes?.(group.bytes)
  const slice = group.flat ? Math.max(1, Math.ceil((group.rows * sliceBytes) / Math.max(sliceBytes, reader.unpackedBytes))) : group.rows
  for (let start = from; start < firstRow + group.rows; start += slice) {
    const columns = await damaged(name, () => reader.decode(start, Math.min(start + slice, firstRow + group.rows)))
    const count = Math.min(slice, firstRow + group.rows - start)
    for (let at = 0; at < count; at += batchRows) {
      const rows: LoadedRow[] = []
      for (let i = at; i < Math.min(at + batchRows, count); i++) rows.push(rowOf(name, start + i, columns, i))
      yield { rows, start: { row: start + at } }
    }
  }
}

function rowOf(file: string, row: number, columns: ReadonlyMap<string, readonly unknown[]>, i: number): LoadedRow {
  const place = { file, line: row + 1, row: true as const }
  try {
    const value: Record<string, unknown> = {}
    for (const [name, cells] of columns) value[name] = plainValue(cells[i], name)
    return { place, value }
  } catch (error) {
    if (error instanceof ValueFault) return { place, problem: `${error.path}: ${error.reason}` }
    throw error
  }
}

async function seekable(file: string, options: LoadOptions): Promise<{ source: ByteSource & Required<Pick<ByteSource, 'read'>>; size: number }> {
  const source = options.source ?? localSource(file)
  const { read } = source
  if (read === undefined) {
    return fail('FT_DATASET', `${source.name} is Parquet, which cannot be read as a stream: its index is at its end`, { remedy: 'save it to a file and name that', details: { path: file } })
  }
  const size = source.size ?? (await fileSize(file))
  return { source: { ...source, read }, size }
}

async function refusePacked({ name, read }: Required<Pick<ByteSource, 'name' | 'read'>>, { signal }: LoadOptions): Promise<void> {
  const packing = packingName(await read(0, 8, signal))
  if (packing === null) return
  fail('FT_DATASET', `${name} is a ${packing} archive, and Parquet in one cannot be read: its index is at its end`, { remedy: 'unpack it first; Parquet packs its own columns', details: { path: name } })
}

/** Whatever the library throws of a file is the file's fault; the library's message may hold its bytes, so it is only the cause. */
async function damaged<T>(file: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof FineTuneError || (error instanceof Error && error.name === 'AbortError')) throw error
    throw makeError('FT_DATASET', `cannot read the Parquet file ${file}: it is damaged, or written in a way that is not supported`, {
      remedy: 'write it again with another tool, or get it again', details: { path: file }, cause: error,
    })
  }
}
