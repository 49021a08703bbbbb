// quickLoad: the rows of a data set for programs that look at them before they train: as objects, or with a tokenizer as tokens.
import { fail } from '../core/errors/index.js'
import { checkOptions } from '../core/options.js'
import { prepareRows } from './pipeline.js'
import { streamRows } from './sources/stream.js'
import type { DataInput, SourceSettings } from './sources/types.js'
import { isTokenizer, type TextTokenizer } from './tokenizer/index.js'
import { placeText, type EncodedRow, type RowValue } from './types.js'

export interface QuickLoadOptions {
  /** The first rows alone. Default: all. */
  maxSamples?: number
  read?: SourceSettings
  signal?: AbortSignal
}

export interface QuickTokensOptions extends QuickLoadOptions {
  /** Longer rows lose their end. Default 1024. */
  maxSeqLength?: number
}

const rowNames = { maxSamples: true, read: true, signal: true } as const
const tokenNames = { ...rowNames, maxSeqLength: true } as const

/** Every row in memory. Errors: FT_DATASET, FT_DATASET_ROW, FT_EMPTY_DATASET; with a tokenizer those of prepareDataset. */
export async function quickLoad(paths: DataInput, options?: QuickLoadOptions): Promise<RowValue[]>
export async function quickLoad(paths: DataInput, tokenizer: TextTokenizer, options?: QuickTokensOptions): Promise<EncodedRow[]>
export async function quickLoad(paths: DataInput, second: TextTokenizer | QuickLoadOptions = {}, third: QuickTokensOptions = {}): Promise<RowValue[] | EncodedRow[]> {
  if (!isTokenizer(second)) {
    if (typeof second === 'object' && second !== null) return await loadRows(paths, second)
    return fail('FT_INVALID_ARGUMENT', 'quickLoad takes a tokenizer or options after the data', { remedy: 'pass await loadTokenizer(folder), or { maxSamples }' })
  }
  checkOptions('quickLoad', third, tokenNames)
  const { maxSamples, maxSeqLength = 1024, read, signal } = third
  checkSamples(maxSamples)
  const { train } = await prepareRows({ paths, read, tokenizer: second, maxSamples, maxSeqLength, allowTruncation: true, validationRatio: 0, seed: 0, signal })
  return train
}

async function loadRows(paths: DataInput, options: QuickLoadOptions): Promise<RowValue[]> {
  checkOptions('quickLoad', options, rowNames)
  const { maxSamples = Infinity, read, signal } = options
  checkSamples(options.maxSamples)
  const rows: RowValue[] = []
  const stream = await streamRows(paths, { settings: read, signal })
  for await (const row of stream) {
    if ('problem' in row) fail('FT_DATASET_ROW', `${placeText(row.place)}: ${row.problem}`, { remedy: 'repair this row', details: { ...row.place } })
    rows.push(row.value)
    if (rows.length >= maxSamples) break
  }
  if (rows.length === 0) fail('FT_EMPTY_DATASET', `no row in ${stream.files.map((file) => file.path).join(', ')}`, { remedy: 'write one JSON object a line' })
  return rows
}

function checkSamples(maxSamples: number | undefined): void {
  if (maxSamples !== undefined && !(Number.isInteger(maxSamples) && maxSamples > 0)) fail('FT_INVALID_ARGUMENT', `maxSamples must be an integer of at least 1, got ${maxSamples}`)
}
