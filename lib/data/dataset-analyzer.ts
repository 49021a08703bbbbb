// DatasetAnalyzer: everything `inspect data` shows, in one pass over the data and with what the run itself would do to it:
// columns, lengths, truncation, duplicates, the first rows as the model gets them, lint. With a tokenizer it counts tokens; without
// one, characters. Rows are not kept: memory holds some 50 bytes a row, and what the options ask for.
import { fail, type ErrorCode } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { DatasetFilter } from './dataset-filter.js'
import { DatasetStatistics, type StatisticsReport } from './dataset-statistics.js'
import { FilterRow, type Side } from './filters/index.js'
import { RowReader } from './formats/reader.js'
import { DatasetLinter, type LintReport } from './linter.js'
import { Collected, contextOf, findFiles, splitRows, type PrepareDatasetOptions } from './pipeline.js'
import { packRows } from './plan.js'
import { previewRows, type PlacedRow, type PreviewRow } from './preview.js'
import type { StoredRow } from './row-store.js'
import { rowText } from './row-text.js'
import { BadRows, readRows, rowFits, type SourceRow } from './rows.js'
import type { DataFile, DataFiles } from './sources/find.js'
import { Splitter } from './splits.js'
import { chooseTemplate, openRenderer } from './templates/choose.js'
import type { TextTokenizer } from './tokenizer/index.js'
import { countSupervised, placeText, type DatasetReport, type EncodedRow, type FilterReport, type RowPlace } from './types.js'

export interface AnalyzeOptions extends Partial<Omit<PrepareDatasetOptions, 'paths' | 'now'>> {
  paths: PrepareDatasetOptions['paths']
  /** Rows to show, from 1; needs a tokenizer. */
  preview?: readonly number[]
  /** Show them as they were before truncation. Default: as the model gets them. */
  wholePreview?: boolean
  /** Look for faults. */
  lint?: boolean
}

const optionNames: OptionNames<AnalyzeOptions> = {
  paths: true, read: true, mixStop: true, validationPath: true, validationRatio: true, split: true, filters: true, filterExcerpts: true, maxRowCharacters: true, seed: true, tokenizer: true, maxSeqLength: true, trainOn: true, trainOnPrompt: true, trainOnEndOfTurn: true,
  overflow: true, stride: true, allowTruncation: true, columns: true, columnSeparator: true, template: true, rowSchema: true, maxSamples: true, threads: true, cache: true, memoryBudget: true, onBadRow: true, chatTemplate: true, vocabSize: true,
  signal: true, onProgress: true, preview: true, wholePreview: true, lint: true,
}

export interface PackingReport {
  /** Of maxSeqLength tokens each. */
  windows: number
  /** Share of the windows' tokens that rows fill. */
  fill: number
  rowsPerWindow: number
  /** False: from the first million rows. */
  exact: boolean
}

/** What only tokens tell. */
export interface TokenFacts {
  /** What training would report. */
  report: DatasetReport
  truncatedShare: number
  /** Share of the tokens with loss that truncation takes. */
  lostShare: number
  packing: PackingReport
}

export interface DatasetAnalysis {
  files: { path: string; bytes: number }[]
  /** Rows that can be used, and are left by the filters. */
  rows: number
  skippedBadRows: number
  badRowExamples: string[]
  /** How columns of no known shape were read, and why. */
  detection: string[]
  filtered: FilterReport[]
  statistics: StatisticsReport
  maxSeqLength: number
  /** null: there was no tokenizer. */
  tokens: TokenFacts | null
  preview: PreviewRow[]
  /** null: not asked for. */
  lint: LintReport | null
}

const defaultSeed = 42
const defaultLength = 1024
const packedRows = 1_000_000

export class DatasetAnalyzer {
  readonly #options: AnalyzeOptions & { maxSeqLength: number; seed: number }
  readonly #statistics = new DatasetStatistics()
  readonly #linter: DatasetLinter | null
  readonly #badRows: BadRows
  readonly #wanted: ReadonlySet<number>
  readonly #shown = new Map<number, PlacedRow>()
  #rows = 0

  /** Errors: FT_INVALID_ARGUMENT. */
  constructor(options: AnalyzeOptions) {
    checkOptions('DatasetAnalyzer', options, optionNames)
    this.#options = { ...options, maxSeqLength: options.maxSeqLength ?? defaultLength, seed: options.seed ?? defaultSeed }
    this.#linter = options.lint ? new DatasetLinter({ tokenizer: options.tokenizer ?? null, maxSeqLength: this.#options.maxSeqLength, endOfTurn: options.trainOnEndOfTurn }) : null
    this.#badRows = this.#linter === null ? new BadRows(options.onBadRow ?? 'stop') : new LintedRows(this.#linter)
    this.#wanted = new Set(options.preview ?? [])
    if (this.#wanted.size > 0 && options.tokenizer === undefined) fail('FT_INVALID_ARGUMENT', 'a preview of tokens needs a tokenizer', { remedy: 'pass the tokenizer of the model' })
  }

  /**
   * Once. What prepareDataset would refuse (truncation, no labels) is in the result. Errors: those of files, and of rows unless they
   * are skipped or lint is on, which reports them.
   */
  async run(): Promise<DatasetAnalysis> {
    const { tokenizer, maxSeqLength } = this.#options
    const files = await findFiles({ ...this.#options, tokenizer: tokenizer as TextTokenizer })
    const reader = await RowReader.open(this.#options)
    const pass = tokenizer === undefined ? await this.#read(files, reader) : await this.#encode(files, reader, tokenizer)
    return {
      files: [...files.train, ...files.validation].map(({ path, bytes }) => ({ path, bytes })),
      rows: this.#rows - pass.dropped,
      skippedBadRows: this.#badRows.skipped,
      badRowExamples: this.#badRows.examples,
      detection: [...reader.detection],
      filtered: pass.filtered,
      statistics: this.#statistics.report(),
      maxSeqLength,
      tokens: pass.tokens,
      preview: tokenizer === undefined ? [] : await previewRows(tokenizer, [...this.#wanted].flatMap((row) => this.#shown.get(row) ?? [])),
      lint: this.#linter?.end(pass.held) ?? null,
    }
  }

  /** Through everything that training does, but keeping the rows. */
  async #encode({ train, validation }: DataFiles, reader: RowReader, tokenizer: TextTokenizer): Promise<Pass> {
    const options = { ...this.#options, tokenizer }
    const chosen = await chooseTemplate(tokenizer, options.chatTemplate)
    const renderer = chosen === null ? null : openRenderer(tokenizer, chosen)
    const collected = new Collected(options, { ...contextOf(options), renderer }, reader, { keepRows: false, badRows: this.#badRows })
    const take = (side: Side) => (row: EncodedRow, source: SourceRow, stored: StoredRow): void => {
      this.#take(source, side, row)
      if (!this.#wanted.has(this.#rows)) return
      const [first = stored] = collected.store.parts(stored)
      const { inputIds, labels } = options.wholePreview ? row : first
      this.#shown.set(this.#rows, { place: placeText(source.place), shape: source.shape, row: { inputIds: inputIds.slice(), labels: labels.slice() } })
    }
    try {
      await collected.read(train, 'train', take('train'))
      const trainRows = collected.store.rows.length
      if (validation.length > 0) await collected.read(validation, 'validation', take('validation'))
      collected.badRows.check()
      collected.filter.end()
      const held = splitRows(collected.splitter, collected.supervised, trainRows, options)
      collected.drop(held)
      return { held, dropped: collected.dropped.size, filtered: collected.filter.report, tokens: this.#tokenFacts(collected) }
    } finally {
      await renderer?.dispose()
    }
  }

  #tokenFacts(collected: Collected): TokenFacts {
    const { store } = collected
    const report = collected.report()
    const { truncatedRows, splitRows: split, droppedRows, lostSupervisedTokens } = report
    const all = report.rows + droppedRows
    return {
      report,
      truncatedShare: all === 0 ? 0 : (truncatedRows + split + droppedRows) / all,
      lostShare: lostSupervisedTokens / Math.max(1, store.supervisedBefore),
      packing: packingOf(store.rows.map(({ length }) => length), this.#options.maxSeqLength),
    }
  }

  /** Without a tokenizer: rows, shapes, characters. */
  async #read({ train, validation }: DataFiles, reader: RowReader): Promise<Pass> {
    const { filters, filterExcerpts, maxRowCharacters, split } = this.#options
    const filter = new DatasetFilter(filters, { excerpts: filterExcerpts })
    const splitter = new Splitter(split)
    const places: RowPlace[] = []
    const take = (side: Side) => (source: SourceRow): boolean => {
      const row = new FilterRow(source.place, source.value, source.row, side)
      const kept = filter.keeps(row)
      if (kept && !rowFits(source, this.#badRows, maxRowCharacters)) return false
      this.#badRows.good()
      if (!kept) return false
      if (side === 'train') splitter.add(source)
      filter.taken(this.#rows, row)
      if (filter.waitsForSplit) places.push(source.place)
      this.#take(source, side, null)
      return true
    }
    await this.#readFiles(train, reader, take('train'))
    const trainRows = this.#rows
    await this.#readFiles(validation, reader, take('validation'))
    this.#badRows.check()
    filter.end()
    const held = splitRows(splitter, Array.from({ length: this.#rows }, () => true), trainRows, this.#options)
    const dropped = filter.split(held, (index) => places[index] as RowPlace)
    return { held, dropped: dropped.size, filtered: filter.reportWithoutTokens, tokens: null }
  }

  async #readFiles(files: readonly DataFile[], reader: RowReader, take: (source: SourceRow) => boolean): Promise<void> {
    const { signal, onProgress, maxSamples = Infinity } = this.#options
    const progress = { rows: 0, bytes: 0, totalBytes: files.reduce((sum, file) => sum + file.bytes, 0) }
    let taken = 0
    const onBytes = (bytes: number): void => void (progress.bytes += bytes)
    for await (const source of readRows({ files, reader, badRows: this.#badRows, signal, onBytes })) {
      if (take(source)) taken++
      if (++progress.rows % 1000 === 0) onProgress?.({ ...progress })
      if (taken >= maxSamples) break
    }
  }

  /** @param encoded before truncation */
  #take(source: SourceRow, side: Side, encoded: EncodedRow | null): void {
    this.#rows++
    const tokens = encoded === null ? {} : { tokens: encoded.inputIds.length, supervised: countSupervised(encoded.labels) }
    this.#statistics.add({ text: rowText(source.row), shape: source.shape, place: source.place, ...tokens })
    this.#linter?.row(source, encoded, side)
  }
}

interface Pass {
  held: ReadonlySet<number>
  dropped: number
  filtered: FilterReport[]
  tokens: TokenFacts | null
}

/** Bad rows as findings. */
class LintedRows extends BadRows {
  readonly #linter: DatasetLinter

  constructor(linter: DatasetLinter) {
    super('skip')
    this.#linter = linter
  }

  override bad(place: RowPlace, reason: string, code?: ErrorCode, remedy?: string, source?: SourceRow): void {
    super.bad(place, reason, code, remedy)
    this.#linter.badRow(place, reason, remedy ?? 'repair this row, or leave bad rows out with --on-bad-row skip', source)
  }

  override check(): void {
    // How many there are is in the findings.
  }
}

function packingOf(lengths: readonly number[], windowLength: number): PackingReport {
  const parts = lengths.slice(0, packedRows).flatMap((length) => partsOf(length, windowLength))
  // As a run with the default seed would; another seed, or held-out rows, change the count by little.
  const windows = packRows({ rows: parts.length, shuffle: true, seed: defaultSeed, packing: { lengths: parts, windowLength } })
  const scale = Math.max(1, lengths.length / packedRows)
  const tokens = parts.reduce((sum, length) => sum + length, 0)
  const packed = windows.length
  return {
    windows: Math.round(scale * packed), fill: packed === 0 ? 0 : tokens / (packed * windowLength),
    rowsPerWindow: packed === 0 ? 0 : Math.min(lengths.length, packedRows) / packed, exact: scale === 1,
  }
}

/** A row that is split fills windows, and leaves a rest. */
function partsOf(length: number, windowLength: number): number[] {
  const whole = Math.floor(length / windowLength)
  const rest = length % windowLength
  return [...Array<number>(whole).fill(windowLength), ...(rest > 0 ? [rest] : [])]
}
