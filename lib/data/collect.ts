// Files → encoded rows, batch by batch, so that memory holds rows and not texts. Training and `inspect data`
// share it; what they do with what was found is their own.
import { fail } from '../core/errors/index.js'
import type { EncodeResult, RowNotes, RowsEncoder } from './encode.js'
import type { RowReader } from './formats/reader.js'
import type { DataFile } from './sources/find.js'
import { readRows, rowFits, rowSize, type BadRows, type SourceRow } from './rows.js'
import type { EncodedRow } from './types.js'

/**
 * What the tokenizer does not know by its words, its library works on with all cores; more rows make it no faster. What comes
 * of a batch is taken over in one go, so its size is also how long the event loop waits.
 */
const batchRows = 200
const batchCharacters = 1 << 18
/** While the tokenizer works on one batch, another is read, or what came of one is taken over. */
const batchesInFlight = 2

export interface Progress {
  rows: number
  bytes: number
  totalBytes: number
}

export interface CollectOptions {
  files: readonly DataFile[]
  reader: RowReader
  encoder: RowsEncoder
  badRows: BadRows
  signal?: AbortSignal
  /** Reading ends after this many rows that stay. */
  maxSamples?: number
  /** Of one row. */
  maxRowCharacters?: number
  onProgress?(progress: Progress): void
  /** False: the row is left out before it costs anything. */
  keeps?(source: SourceRow): boolean
  /** False: the row does not stay after all. */
  onRow(row: EncodedRow & { notes: RowNotes }, source: SourceRow): boolean
}

/** Errors: those of rows.ts and encode.ts, FT_CANCELLED. */
export async function collectRows({ files, reader, encoder, badRows, signal, maxSamples = Infinity, maxRowCharacters, onProgress, keeps, onRow }: CollectOptions): Promise<void> {
  const progress: Progress = { rows: 0, bytes: 0, totalBytes: files.reduce((sum, file) => sum + file.bytes, 0) }
  const inFlight: { batch: SourceRow[]; results: Promise<EncodeResult[]> }[] = []
  let batch: SourceRow[] = []
  let characters = 0
  let stayed = 0
  /** Read, and it is not known whether they stay. */
  let open = 0
  const start = (): void => {
    if (signal?.aborted) fail('FT_CANCELLED', 'preparing the data was cancelled')
    const results = encoder.encode(batch)
    // It is looked at in its turn; an earlier batch may fail before that.
    results.catch(() => undefined)
    inFlight.push({ batch, results })
    batch = []
    characters = 0
  }
  const settle = async (most: number): Promise<void> => {
    while (inFlight.length > most) {
      const [oldest] = inFlight.splice(0, 1)
      if (oldest === undefined) return
      try {
        stayed += take(oldest.batch, await oldest.results, { badRows, onRow })
        open -= oldest.batch.length
      } catch (error) {
        // What follows it does not matter any more.
        inFlight.length = 0
        throw error
      }
      progress.rows += oldest.batch.length
      onProgress?.({ ...progress })
      if (signal?.aborted) fail('FT_CANCELLED', 'preparing the data was cancelled')
    }
  }
  const onBytes = (bytes: number): void => {
    progress.bytes += bytes
  }
  try {
    for await (const row of readRows({ files, reader, badRows, signal, onBytes })) {
      if (keeps?.(row) === false) {
        badRows.good()
        progress.rows++
        continue
      }
      if (!rowFits(row, badRows, maxRowCharacters)) continue
      batch.push(row)
      open++
      characters += rowSize(row.row)
      if (stayed + open >= maxSamples) {
        // Enough, if all of them stay.
        start()
        await settle(0)
        if (stayed >= maxSamples) break
        continue
      }
      if (batch.length < batchRows && characters < batchCharacters) continue
      start()
      await settle((encoder.inFlight ?? batchesInFlight) - 1)
    }
  } catch (error) {
    // A fault in an earlier row is the one to report.
    await settle(0)
    throw error
  }
  if (batch.length > 0) start()
  await settle(0)
}

/** How many stay. */
function take(batch: readonly SourceRow[], results: readonly EncodeResult[], { badRows, onRow }: Pick<CollectOptions, 'badRows' | 'onRow'>): number {
  let stayed = 0
  results.forEach((result, i) => {
    const source = batch[i] as SourceRow
    if ('problem' in result) {
      badRows.bad(source.place, result.problem, result.template ? 'FT_TEMPLATE' : 'FT_DATASET_ROW', undefined, source)
    } else {
      badRows.good()
      if (onRow(result, source)) stayed++
    }
  })
  return stayed
}
