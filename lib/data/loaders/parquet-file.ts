// A Parquet file and its row groups as columns of values. Sizes are checked against what pages claim before they are
// unpacked, and names before they become keys of objects.
import zlib from 'node:zlib'
import type { ColumnMetaData, Compressors, FileMetaData, SchemaElement } from 'hyparquet'
import { fail } from '../../core/errors/index.js'
import type { ByteSource } from './bytes.js'
import { libraries } from './libraries.js'
import type { LoadOptions } from './loader.js'
import { readClaims } from './parquet-pages.js'
import { parsers } from './parquet-values.js'
import { defaultUnpackRatio } from './unpack.js'

const maxFooterBytes = 1 << 28
/** A row group is read as a whole: what its columns may hold. */
const maxGroupBytes = 2 ** 31
/** Unwanted bytes between columns that are read rather than asked around. */
const largestGap = 1 << 16
/** Decoding takes at least this for each value. */
const valueBytes = 8
/** Below it nothing is asked. */
const freeBytes = 1 << 26

type Seekable = ByteSource & Required<Pick<ByteSource, 'read'>>

export interface RowGroup {
  rows: number
  /** Packed bytes of the columns that are read. */
  bytes: number
  /** No lists: some rows can be decoded without the others. */
  flat: boolean
  firstRow: number
  columns: { start: number; end: number }[]
}

export interface ParquetFile {
  source: Seekable
  metadata: FileMetaData
  groups: RowGroup[]
  columns: string[]
}

export async function openParquet(source: Seekable, size: number, options: LoadOptions): Promise<ParquetFile> {
  const tail = await source.read(Math.max(0, size - 8), size, options.signal)
  const end = tail.toString('latin1', 4)
  const footer = tail.length === 8 && end === 'PAR1' ? tail.readUInt32LE(0) : 0
  if (end === 'PARE') fail('FT_DATASET', `the Parquet file ${source.name} is encrypted`, { remedy: 'decrypt it first', details: { path: source.name } })
  if (footer === 0 || footer > Math.min(size - 12, maxFooterBytes)) {
    fail('FT_DATASET', `${source.name} does not end as a Parquet file: it is none, or it is cut short or damaged`, { remedy: 'get the file again, or name its format with --data-format', details: { path: source.name } })
  }
  const { parquetMetadataAsync } = await libraries.hyparquet()
  const metadata = await parquetMetadataAsync(bufferOf(source, size, options.signal), { parsers: parsers, geoparquet: false, initialFetchSize: footer + 8 })
  const columns = checkNames(source.name, metadata, options.columns)
  let firstRow = 0
  const groups = metadata.row_groups.map((group) => {
    const rows = Number(group.num_rows)
    const chosen = group.columns.flatMap(({ meta_data: meta }) => (meta !== undefined && columns.includes(meta.path_in_schema[0] as string) ? [meta] : []))
    const ranges = chosen.map((meta) => rangeOf(source.name, meta, size))
    const made = { rows, firstRow, bytes: ranges.reduce((sum, { start, end }) => sum + end - start, 0), columns: ranges, flat: chosen.every(({ path_in_schema: path }) => path.length === 1) }
    if (!Number.isSafeInteger(rows) || rows < 0 || made.bytes > maxGroupBytes) tooLarge(source.name, 'a row group holds')
    firstRow += rows
    return made
  })
  return { source, metadata, groups, columns }
}

/** Top-level columns that are wanted; all where one of those is missing, so that whoever wants it can say what is there. */
function checkNames(file: string, { schema }: FileMetaData, wanted: readonly string[] | undefined): string[] {
  if (schema.some(({ name }) => name === '__proto__')) fail('FT_DATASET', `${file}: a column cannot be named __proto__`, { remedy: 'rename the column', details: { path: file } })
  const names = topLevel(schema)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) fail('FT_DATASET', `${file}: two columns are named ${JSON.stringify(twice.slice(0, 40))}`, { remedy: 'rename one', details: { path: file } })
  return wanted === undefined || !wanted.every((name) => names.includes(name)) ? names : names.filter((name) => wanted.includes(name))
}

function topLevel(schema: readonly SchemaElement[]): string[] {
  const names: string[] = []
  const pass = (index: number): number => {
    let next = index + 1
    for (let child = 0; child < (schema[index]?.num_children ?? 0); child++) next = pass(next)
    return next
  }
  for (let index = 1; index < schema.length; index = pass(index)) names.push((schema[index] as SchemaElement).name)
  return names
}

function rangeOf(file: string, meta: ColumnMetaData, size: number): { start: number; end: number } {
  const start = Number(meta.dictionary_page_offset || meta.data_page_offset)
  const end = start + Number(meta.total_compressed_size)
  if (start >= 4 && end >= start && end <= size) return { start, end }
  return fail('FT_DATASET', `the Parquet file ${file} is damaged: a column lies outside of it`, { remedy: 'get the file again', details: { path: file } })
}

export interface GroupReader {
  unpackedBytes: number
  /** Columns by name, rows [start, end) of the file. */
  decode(start: number, end: number): Promise<Map<string, readonly unknown[]>>
}

/** Reads the group's packed bytes, and checks what they claim. */
export async function readGroup(parquet: ParquetFile, group: RowGroup, options: LoadOptions): Promise<GroupReader> {
  const { source, metadata, columns } = parquet
  const chunks = new Map<number, Buffer>()
  for (const run of runsOf(group.columns)) {
    const bytes = await readWhole(source, run.start, run.end, options.signal)
    for (const { start, end } of run.columns) chunks.set(start, bytes.subarray(start - run.start, end - run.start))
  }
  let unpackedBytes = 0
  for (const chunk of chunks.values()) {
    const { bytes, values } = readClaims(chunk)
    unpackedBytes += Math.max(bytes, values * valueBytes)
  }
  const ratio = options.maxUnpackRatio ?? defaultUnpackRatio
  if (unpackedBytes > freeBytes && unpackedBytes > ratio * group.bytes) {
    fail('FT_DATASET', `the Parquet file ${source.name} unpacks to more than ${ratio} times its size`, {
      remedy: 'if that is right, raise --max-unpack-ratio; a file from elsewhere that does this is made to fill your memory', details: { path: source.name },
    })
  }
  if (unpackedBytes > Math.min(maxGroupBytes * 2, options.maxUnpackedBytes ?? Infinity)) tooLarge(source.name, 'a row group unpacks to')
  const file = servedFrom(chunks, source)
  const [{ parquetRead }, compressors] = await Promise.all([libraries.hyparquet(), loadCompressors()])
  return {
    unpackedBytes,
    async decode(start, end) {
      const cells = new Map<string, unknown[]>(columns.map((name) => [name, []]))
      const read = { file, metadata, columns, compressors, rowStart: start, rowEnd: end, parsers: parsers as never, geoparquet: false }
      await parquetRead({
        ...read,
        onComplete: (rows) => {
          for (const row of rows) columns.forEach((name, i) => cells.get(name)?.push(row[i]))
        },
      })
      for (const list of cells.values()) if (list.length !== end - start) throw new RangeError(`a column has ${list.length} rows instead of ${end - start}`)
      return cells
    },
  }
}

interface Run {
  start: number
  end: number
  columns: { start: number; end: number }[]
}

/** Neighbouring columns are read together: over a network each read waits for an answer. */
function runsOf(columns: RowGroup['columns']): Run[] {
  const runs: Run[] = []
  for (const column of [...columns].sort((a, b) => a.start - b.start)) {
    const last = runs[runs.length - 1]
    if (last !== undefined && column.start - last.end <= largestGap && column.end - last.start <= maxGroupBytes) {
      last.end = Math.max(last.end, column.end)
      last.columns.push(column)
    } else {
      runs.push({ ...column, columns: [column] })
    }
  }
  return runs
}

/** Slices of chunks that are in memory already. One may run over the gap between two columns, which nobody decodes: zeros. */
function servedFrom(chunks: ReadonlyMap<number, Buffer>, source: ByteSource): { byteLength: number; slice(start: number, end?: number): Promise<ArrayBuffer> } {
  return {
    byteLength: source.size ?? Number.MAX_SAFE_INTEGER,
    slice(start, end = start) {
      const out = new Uint8Array(end - start)
      for (const [at, bytes] of chunks) {
        const from = Math.max(start, at)
        const to = Math.min(end, at + bytes.length)
        if (from < to) out.set(bytes.subarray(from - at, to - at), from - start)
      }
      return Promise.resolve(out.buffer)
    },
  }
}

function bufferOf(source: Seekable, size: number, signal?: AbortSignal): { byteLength: number; slice(start: number, end?: number): Promise<ArrayBuffer> } {
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = await readWhole(source, start, end, signal)
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
    },
  }
}

async function readWhole(source: Seekable, start: number, end: number, signal?: AbortSignal): Promise<Buffer> {
  const bytes = await source.read(start, end, signal)
  if (bytes.length !== end - start) fail('FT_DATASET', `the file ${source.name} became shorter while it was read`, { remedy: 'wait until it is written, then read it again', details: { path: source.name } })
  return bytes
}

function tooLarge(file: string, what: string): never {
  fail('FT_DATASET', `the Parquet file ${file} has too large row groups: ${what} more than ${maxGroupBytes / 2 ** 30} GiB`, {
    remedy: 'write it with smaller row groups: row_group_size=10000 in pyarrow', details: { path: file },
  })
}

/** With Node's own where it has them: they stop at the length that the page claims. */
async function loadCompressors(): Promise<Compressors> {
  const { compressors } = await libraries.compressors()
  return {
    ...compressors,
    GZIP: (input, length) => zlib.gunzipSync(input, { maxOutputLength: Math.max(1, length) }),
    BROTLI: (input, length) => zlib.brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
  }
}
