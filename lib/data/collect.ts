// Files → encoded rows, batch by batch, so that memory holds rows and not texts. Training and `inspect data`
// share it; what they do with what was found is their own.
import { fail } from '../core/errors/index.js'
import { RowEncoder, type EncodeContext, type RowNotes } from './encode.js'
import type { DataFile } from './loaders/index.js'
import type { BadRows} from './rows.js';
import { readRows, type SourceRow } from './rows.js'
import type { EncodedRow } from './types.js'

/** The tokenizer works on a batch with all cores; more rows make it no faster. */
const batchRows = 200
const batchCharacters = 1 << 21

export interface Progress {
  rows: number
  bytes: number
  totalBytes: number
}

export interface CollectOptions {
  files: readonly DataFile[]
  context: EncodeContext
  badRows: BadRows
  signal?: AbortSignal
  onProgress?(progress: Progress): void
  onRow(row: EncodedRow & { notes: RowNotes }, source: SourceRow): void
}

/** Errors: those of rows.ts and encode.ts, FT_CANCELLED. */
export async function collectRows({ files, context, badRows, signal, onProgress, onRow }: CollectOptions): Promise<void> {
  const encoder = new RowEncoder(context)
  const progress: Progress = { rows: 0, bytes: 0, totalBytes: files.reduce((sum, file) => sum + file.bytes, 0) }
  let batch: SourceRow[] = []
  let characters = 0
  const flush = async (): Promise<void> => {
    if (signal?.aborted) fail('FT_CANCELLED', 'preparing the data was cancelled')
    const results = await encoder.encode(batch)
    results.forEach((result, i) => {
      const source = batch[i] as SourceRow
      if ('problem' in result) {
        badRows.bad(source.place, result.problem, result.template ? 'FT_TEMPLATE' : 'FT_DATASET_ROW')
      } else {
        badRows.good()
        onRow(result, source)
      }
    })
    progress.rows += batch.length
    onProgress?.({ ...progress })
    batch = []
    characters = 0
  }
  const onBytes = (bytes: number): void => {
    progress.bytes += bytes
  }
  for await (const row of readRows({ files, badRows, signal, onBytes })) {
    batch.push(row)
    characters += sizeOf(row)
    if (batch.length >= batchRows || characters >= batchCharacters) await flush()
  }
  if (batch.length > 0) await flush()
}

function sizeOf({ row }: SourceRow): number {
  switch (row.kind) {
    case 'text':
      return row.text.length
    case 'pair':
      return row.prompt.length + row.completion.length
    case 'tokens':
      return row.inputIds.length
    case 'chat': {
      const contents = row.messages.map((message) => (typeof message.content === 'string' ? message.content.length : JSON.stringify(message).length))
      return contents.reduce((sum, length) => sum + length, 0)
    }
  }
}
