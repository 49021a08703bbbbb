// What a loader is: it turns one file into rows. Rows come in batches inside, because a promise for each would cost more
// than reading it; `load` gives them one by one to whoever wants that.
import type { LoadedRow } from '../types.js'
import type { ReadOptions } from './read.js'

/** A place between two rows of a file. Plain data: JSON holds it. */
export interface RowStart {
  /** Rows before it in this file, bad ones counted. */
  row: number
  /** A place at or before it where the file can be entered without what came before. */
  block?: { row: number; byte: number; line: number }
}

export interface LoadOptions extends ReadOptions {
  /** Start here instead of at the beginning. */
  from?: RowStart
}

/** Rows that were read together. */
export interface RowBatch {
  rows: LoadedRow[]
  /** Of the first of them. */
  start: RowStart
}

export interface DatasetLoader {
  /** "jsonl"; unique. */
  readonly name: string
  /** With the dot, lower case: ".jsonl". */
  readonly extensions: readonly string[]
  /**
   * Whether the beginning of a file looks like this format; asked when no extension matches. A text says by what: "it begins with
   * PAR1". `head`: unpacked, and text of any encoding as UTF-8. `whole`: it is all there is.
   */
  recognises?(head: Uint8Array, whole: boolean): boolean | string
  /** It takes whatever is left: the others are asked first. */
  readonly catchAll?: true
  /** The rows in order. A bad row is yielded as a problem; damage that hides later rows is thrown as FT_DATASET. */
  load(file: string, options?: LoadOptions): AsyncIterable<LoadedRow>
  /**
   * The same in batches, faster. A loader that has it reads through `options.source` where one is given (standard input, files
   * of the hub, archives) and starts at `options.from`, at the batch that holds that row; others get files by their path alone.
   */
  batches?(file: string, options?: LoadOptions): AsyncIterable<RowBatch>
}

/** A loader of this package: `load` follows from `batches`. */
export function defineLoader(loader: Omit<DatasetLoader, 'load' | 'batches'> & Required<Pick<DatasetLoader, 'batches'>>): DatasetLoader & Required<Pick<DatasetLoader, 'batches'>> {
  return {
    ...loader,
    async *load(file, options) {
      for await (const batch of openBatches(loader, file, options)) yield* batch.rows
    },
  }
}

const groupedRows = 64

/** The batches of any loader, beginning exactly at `options.from`. */
export async function* openBatches(loader: Pick<DatasetLoader, 'batches'> & Partial<Pick<DatasetLoader, 'load'>>, file: string, options: LoadOptions = {}): AsyncGenerator<RowBatch> {
  const wanted = options.from?.row ?? 0
  for await (const batch of loader.batches?.(file, options) ?? grouped(loader.load?.(file, options) ?? [])) {
    const skipped = wanted - batch.start.row
    if (skipped <= 0) yield batch
    else if (skipped < batch.rows.length) yield { rows: batch.rows.slice(skipped), start: { ...batch.start, row: wanted } }
  }
}

/** A loader from outside knows nothing of batches: each row is given on as soon as the next is asked for. */
async function* grouped(rows: AsyncIterable<LoadedRow> | Iterable<LoadedRow>): AsyncGenerator<RowBatch> {
  let row = 0
  let batch: LoadedRow[] = []
  for await (const one of rows) {
    batch.push(one)
    if (batch.length < groupedRows) continue
    yield { rows: batch, start: { row } }
    row += batch.length
    batch = []
  }
  if (batch.length > 0) yield { rows: batch, start: { row } }
}
