// The rows of a data set as one stream that can be left at any row and taken up there again: files one after another, or
// sources interleaved by weight. It holds what one batch of a file holds, whatever the size of the data.
import { checkOptions, type OptionNames } from '../../core/options.js'
import { fail } from '../../core/errors/index.js'
import { groupBy } from '../../utils/group.js'
import type { RowStart } from '../loaders/loader.js'
import { readFileBatches } from '../loaders/open.js'
import type { LoadedRow } from '../types.js'
import { findDataSets, type DataFile, type FindOptions } from './find.js'
import { mixRows, startOfMix, type MixCursor } from './mix.js'
import { checkOrder, OrderedRows, type OrderCursor, type StreamOrder } from './shuffle.js'
import type { DataInput } from './types.js'

/** A place between two rows. Plain data: JSON holds it. */
export interface RowCursor {
  /** One entry for each source: a file, and how to enter it. */
  sources: { file: number; start: RowStart }[]
  mix?: MixCursor
  /** Of a shuffled stream; `sources` and `mix` are then where its stretch begins. */
  order?: OrderCursor
}

export interface StreamRowsOptions extends Omit<FindOptions, 'commits'> {
  /** Rows to read: training rows, or those of the validation split. */
  split?: 'train' | 'validation'
  /** Go on here. */
  from?: RowCursor
  /** In the order of a seed, by stretches, and dealt to ranks. Default: the order of the data. A cursor goes on with the same options. */
  order?: StreamOrder
  /** Bytes read, as they are in the files. */
  onBytes?(bytes: number): void
}

const optionNames: OptionNames<StreamRowsOptions> = { settings: true, mix: true, signal: true, split: true, from: true, order: true, onBytes: true }

export interface RowStream extends AsyncIterable<LoadedRow> {
  files: readonly DataFile[]
  /** Bytes of all files, as far as they are known. */
  bytes: number
  /** Where the row after the last one that was given stands. */
  cursor(): RowCursor
}

/** Errors: those of findDataSets and of the loaders, while it is read. A bad row is given as its problem. */
export async function streamRows(input: DataInput, options: StreamRowsOptions = {}): Promise<RowStream> {
  checkOptions('streamRows', options, optionNames)
  const files = (await findDataSets(input, options))[options.split ?? 'train']
  const groups = groupFiles(files)
  const { from, order } = options
  if (order !== undefined) checkOrder(order)
  if ((from?.order === undefined) !== (from === undefined || order === undefined)) {
    fail('FT_INVALID_ARGUMENT', `the cursor is of a stream ${order === undefined ? 'in the order of a seed' : 'in the order of the data'}`, { remedy: 'go on with the options that the stream had' })
  }
  if (from !== undefined && from.sources.length !== groups.length) {
    fail('FT_INVALID_ARGUMENT', `the cursor is of ${from.sources.length} sources, the data has ${groups.length}`, { remedy: 'go on with the data that the cursor is of' })
  }
  const plain = openRows(groups, options, from)
  const stream = order === undefined ? { cursor: plain.cursor, [Symbol.asyncIterator]: () => plain.rows() } : inOrder(order, (cursor) => openRows(groups, options, cursor), { plain, from })
  return { files, bytes: files.reduce((sum, file) => sum + file.bytes, 0), ...stream }
}

interface PlainRows {
  rows(): AsyncGenerator<LoadedRow>
  cursor(): RowCursor
}

/** In the order of the data. Reading again goes on where it was left. */
function openRows(groups: readonly (readonly DataFile[])[], options: StreamRowsOptions, from?: RowCursor): PlainRows {
  const readers = groups.map((group, i) => new SourceReader(group, options, from?.sources[i]))
  const mix = groups[0]?.[0]?.mix
  const state = mix === undefined ? undefined : structuredClone(from?.mix ?? startOfMix(groups.length))
  return {
    cursor: () => structuredClone({ sources: readers.map((reader) => reader.position), ...(state === undefined ? {} : { mix: state }) }),
    async *rows() {
      if (mix === undefined || state === undefined) {
        for (const reader of readers) yield* reader.rows()
        return
      }
      const sources = groups.map((group, i) => ({
        weight: group[0]?.mix?.weight ?? 1,
        open: () => (readers[i] as SourceReader).restart(),
      }))
      const opened = readers.map((reader) => reader.rows())
      for await (const [row] of mixRows(sources, { seed: mix.seed, stop: mix.stop, cursor: state }, opened)) yield row
    },
  }
}

/** In the order of a seed. Reading again goes on where it was left: at the begin of its stretch, which is read once more. */
function inOrder(order: StreamOrder, open: (cursor: RowCursor) => PlainRows, { plain, from }: { plain: PlainRows; from?: RowCursor }): Pick<RowStream, 'cursor' | typeof Symbol.asyncIterator> {
  let ordered = new OrderedRows(order, plain, from?.order)
  return {
    cursor() {
      const { source, order: place } = ordered.cursor()
      return structuredClone({ ...source, order: place })
    },
    [Symbol.asyncIterator]() {
      const { source, order: place } = ordered.cursor()
      ordered = new OrderedRows(order, open(source), place)
      return ordered.rows()
    },
  }
}

/** Files of one source together; without mixing all are one. */
export function groupFiles(files: readonly DataFile[]): DataFile[][] {
  return [...groupBy(files, (file) => file.mix?.source ?? 0).values()]
}

class SourceReader {
  position: { file: number; start: RowStart }

  constructor(
    readonly files: readonly DataFile[],
    readonly options: StreamRowsOptions,
    from?: { file: number; start: RowStart },
  ) {
    this.position = from === undefined ? { file: 0, start: { row: 0 } } : structuredClone(from)
  }

  restart(): AsyncGenerator<LoadedRow> {
    this.position = { file: 0, start: { row: 0 } }
    return this.rows()
  }

  async *rows(): AsyncGenerator<LoadedRow> {
    const { signal, onBytes } = this.options
    for (let file = this.position.file; file < this.files.length; file++) {
      const entered = this.position.start
      for await (const batch of readFileBatches(this.files[file] as DataFile, { signal, onBytes, from: entered.row === 0 ? undefined : entered })) {
        for (const [i, row] of batch.rows.entries()) {
          this.position.start = { ...batch.start, row: batch.start.row + i + 1 }
          yield row
        }
      }
      this.position = { file: file + 1, start: { row: 0 } }
    }
  }
}
