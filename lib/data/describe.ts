// What `inspect data` shows: shapes, lengths in tokens, what would be cut, and one row with what it teaches.
import { checkOptions, type OptionNames } from '../core/options.js'
import { RowReader, type RowShapeOptions } from './formats/reader.js'
import { contextOf, Collected, type PrepareDatasetOptions } from './pipeline.js'
import { findDataFiles } from './sources/find.js'
import { planEpoch } from './plan.js'
import { chooseTemplate, openRenderer } from './templates/choose.js'
import type { TextTokenizer } from './tokenizer/index.js'
import { ignoreLabel, placeText, rowLength, type DatasetReport, type EncodedRow } from './types.js'

export type DescribeOptions = Pick<PrepareDatasetOptions, 'paths' | 'read' | 'mixStop' | 'tokenizer' | 'maxSeqLength' | 'overflow' | 'stride' | 'trainOn' | 'trainOnPrompt' | keyof RowShapeOptions | 'onBadRow' | 'chatTemplate' | 'vocabSize' | 'signal' | 'onProgress'> & {
  /** Which row to show, from 0. Default 0. */
  exampleRow?: number
}

const optionNames: OptionNames<DescribeOptions> = {
  paths: true, read: true, mixStop: true, tokenizer: true, maxSeqLength: true, overflow: true, stride: true, trainOn: true, trainOnPrompt: true, columns: true, columnSeparator: true, template: true, rowSchema: true, onBadRow: true, chatTemplate: true, vocabSize: true, signal: true, onProgress: true,
  exampleRow: true,
}

/** Of training.seed. */
const defaultSeed = 42

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

export interface PackingReport {
  /** Of maxSeqLength tokens each. */
  windows: number
  /** Share of the windows' tokens that rows fill. */
  fill: number
  rowsPerWindow: number
}

/** Reports what prepareDataset would refuse (truncation, no labels) instead of refusing it. Errors: those of files and rows. */
export async function describeDataset(options: DescribeOptions): Promise<DatasetDescription> {
  checkOptions('describeDataset', options, optionNames)
  const files = await findDataFiles(options.paths, { settings: options.read, mix: { stop: options.mixStop } })
  const reader = await RowReader.open(options)
  const chosen = await chooseTemplate(options.tokenizer, options.chatTemplate)
  const renderer = chosen === null ? null : openRenderer(options.tokenizer, chosen)
  const collected = new Collected(options, { ...contextOf(options), renderer }, reader)
  const lengths: number[] = []
  let example: DatasetDescription['example'] = null
  let shown: { row: EncodedRow; place: string; shape: string } | null = null
  try {
    await collected.read(files, 'train', (row, source) => {
      if (lengths.length === (options.exampleRow ?? 0)) shown = { row, place: placeText(source.place), shape: source.shape }
      lengths.push(row.inputIds.length)
    })
  } finally {
    await renderer?.dispose()
  }
  if (shown !== null) example = await showRow(options.tokenizer, shown)
  const report = collected.report()
  return {
    files: files.map(({ path, bytes }) => ({ path, bytes })),
    report,
    lengths: statistics(lengths),
    maxSeqLength: options.maxSeqLength,
    truncatedShare: report.rows === 0 ? 0 : report.truncatedRows / report.rows,
    lostShare: report.lostSupervisedTokens / Math.max(1, collected.store.supervisedBefore),
    packing: packingOf(collected.store.rows.flatMap((row) => collected.store.parts(row)), options.maxSeqLength),
    example,
  }
}

function packingOf(rows: readonly EncodedRow[], windowLength: number): PackingReport {
  const lengths = rows.map(rowLength)
  // As a run with the default seed would; another seed, or held-out rows, change the count by little.
  const { steps } = planEpoch({ rows: rows.length, batchSize: 1, accumulation: 1, shuffle: true, seed: defaultSeed, epoch: 0, packing: { lengths, windowLength } })
  const windows = steps.length
  const tokens = lengths.reduce((sum, length) => sum + length, 0)
  return { windows, fill: windows === 0 ? 0 : tokens / (windows * windowLength), rowsPerWindow: windows === 0 ? 0 : rows.length / windows }
}

async function showRow(tokenizer: TextTokenizer, { row, place, shape }: { row: EncodedRow; place: string; shape: string }): Promise<DatasetDescription['example']> {
  return { place, shape, tokens: row.inputIds.length, parts: await describeRow(tokenizer, row) }
}

/** The row's text, cut where loss begins and ends. */
export async function describeRow(tokenizer: TextTokenizer, row: EncodedRow): Promise<ExamplePart[]> {
  // Without a tokenizer the ids are all there is to show.
  if (tokenizer.kind === 'none') return partsOf(row, (id) => Promise.resolve(`${id} `))
  const stream = tokenizer.streamDecoder({ skipSpecialTokens: false })
  const parts = await partsOf(row, (id) => stream.push(id))
  const last = parts[parts.length - 1]
  if (last !== undefined) last.text += await stream.end()
  return parts
}

async function partsOf({ inputIds, labels }: EncodedRow, textOf: (id: number) => Promise<string>): Promise<ExamplePart[]> {
  const parts: ExamplePart[] = []
  for (let t = 0; t < inputIds.length; t++) {
    const loss = labels[t] !== ignoreLabel
    let part = parts[parts.length - 1]
    if (part === undefined || part.loss !== loss) parts.push((part = { text: '', loss, tokens: 0 }))
    part.text += await textOf(inputIds[t] as number)
    part.tokens++
  }
  return parts
}

/** Percentiles by nearest rank. */
function statistics(lengths: readonly number[]): LengthStatistics {
  const sorted = Uint32Array.from(lengths).sort()
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
  const mean = sorted.length === 0 ? 0 : sorted.reduce((sum, length) => sum + length, 0) / sorted.length
  return { mean, p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), max: at(1) }
}
