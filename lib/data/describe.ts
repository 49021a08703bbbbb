// What `inspect data` shows: shapes, lengths in tokens, what would be cut, and one row with what it teaches.
import { fail } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { DatasetAnalyzer, type PackingReport } from './dataset-analyzer.js'
import type { RowShapeOptions } from './formats/reader.js'
import type { PrepareDatasetOptions } from './pipeline.js'
import { tokensOf, type PreviewToken } from './preview.js'
import type { TextTokenizer } from './tokenizer/index.js'
import type { DatasetReport, EncodedRow } from './types.js'

export type DescribeOptions = Pick<PrepareDatasetOptions, 'paths' | 'read' | 'mixStop' | 'tokenizer' | 'maxSeqLength' | 'overflow' | 'stride' | 'trainOn' | 'trainOnPrompt' | 'trainOnEndOfTurn' | keyof RowShapeOptions | 'onBadRow' | 'chatTemplate' | 'vocabSize' | 'signal' | 'onProgress'> & {
  /** Which row to show, from 0. Default 0. */
  exampleRow?: number
}

const optionNames: OptionNames<DescribeOptions> = {
  paths: true, read: true, mixStop: true, tokenizer: true, maxSeqLength: true, overflow: true, stride: true, trainOn: true, trainOnPrompt: true, trainOnEndOfTurn: true, columns: true, columnSeparator: true, template: true, rowSchema: true, onBadRow: true, chatTemplate: true, vocabSize: true, signal: true, onProgress: true,
  exampleRow: true,
}

export interface LengthStatistics {
  mean: number
  p50: number
  p90: number
  p95: number
  p99: number
  max: number
}

export interface ExamplePart {
  text: string
  /** These tokens are learned. */
  loss: boolean
  tokens: number
}

export interface DatasetDescription {
  files: { path: string; bytes: number }[]
  report: DatasetReport
  /** Tokens of whole rows, before truncation. */
  lengths: LengthStatistics
  maxSeqLength: number
  truncatedShare: number
  /** Share of the tokens with loss that truncation takes. */
  lostShare: number
  /** What packing would make of all rows, after truncation. */
  packing: PackingReport
  example: { place: string; shape: string; tokens: number; parts: ExamplePart[] } | null
}

/** Reports what prepareDataset would refuse (truncation, no labels) instead of refusing it. Errors: those of files and rows. */
export async function describeDataset(options: DescribeOptions): Promise<DatasetDescription> {
  checkOptions('describeDataset', options, optionNames)
  const { exampleRow = 0, ...rest } = options
  const { files, statistics, tokens, maxSeqLength, preview } = await new DatasetAnalyzer({ ...rest, preview: [exampleRow + 1], wholePreview: true }).run()
  const [shown] = preview
  if (tokens === null) fail('FT_INVALID_ARGUMENT', 'describing tokens needs a tokenizer', { remedy: 'pass { paths, tokenizer, maxSeqLength }' })
  const { mean, p50, p90, p95, p99, max } = statistics.tokens ?? { mean: 0, p50: 0, p90: 0, p95: 0, p99: 0, max: 0 }
  return {
    files, maxSeqLength, ...tokens,
    lengths: { mean, p50, p90, p95, p99, max },
    example: shown === undefined ? null : { place: shown.place, shape: shown.shape, tokens: shown.tokens.length, parts: partsOf(shown.tokens) },
  }
}

/** The row's text, cut where loss begins and ends. */
export async function describeRow(tokenizer: TextTokenizer, { inputIds, labels }: EncodedRow): Promise<ExamplePart[]> {
  return partsOf(await tokensOf(tokenizer, inputIds, labels))
}

export function partsOf(tokens: readonly PreviewToken[]): ExamplePart[] {
  const parts: ExamplePart[] = []
  for (const { text, learned } of tokens) {
    let part = parts[parts.length - 1]
    if (part === undefined || part.loss !== learned) parts.push((part = { text: '', loss: learned, tokens: 0 }))
    part.text += text
    part.tokens++
  }
  return parts
}
