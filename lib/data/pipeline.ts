// prepareRows: files → encoded rows, split into training and validation, with a report of what was found.
import { createHash } from 'node:crypto'
import { fail } from '../core/errors/index.js'
import { checkOptions as checkNames, type OptionNames } from '../core/options.js'
import { collectRows, type Progress } from './collect.js'
import { DatasetFilter, type FilterInput } from './dataset-filter.js'
import { FilterRow, type Side } from './filters/index.js'
import { RowReader, type RowShapeOptions } from './formats/reader.js'
import { DatasetCache, type CacheOptions } from './cache/index.js'
import { RowEncoder, type EncodeContext, type RowNotes, type RowsEncoder } from './encode.js'
import type { ParsedRow } from './formats/index.js'
import { findDataSets, type DataFile, type DataFiles } from './sources/find.js'
import type { DataInput, MixStop, SourceSettings } from './sources/types.js'
import type { TrainOn } from './masking.js'
import type { Overflow } from './overflow.js'
import { defaultMemoryBudget, RowStore, type StoredRow } from './row-store.js'
import { BadRows, checkRowLimit, type SourceRow } from './rows.js'
import { Splitter, type SplitOptions } from './splits.js'
import { chooseTemplate, openRenderer, usesClock, type ChosenTemplate } from './templates/choose.js'
import { canOpenAgain, isTokenizer, type TextTokenizer } from './tokenizer/index.js'
import { EncodePool, poolThreads } from './tokenizing/pool.js'
import { placeText, toleratedLoss, type DatasetReport, type EncodedRow, type OnBadRow, type PreparedDataset, type RowPlace } from './types.js'

export interface PrepareDatasetOptions extends RowShapeOptions {
  /** Files, globs, folders, data sets of the hub, "-" for standard input, sources with weights, or rows. */
  paths: DataInput
  /** How they are read: format, encoding, split … */
  read?: SourceSettings
  /** When a mixture of weighted sources ends. Default: first_exhausted. */
  mixStop?: MixStop
  /** Rows to evaluate on, instead of a share of the training rows. */
  validationPath?: DataInput
  /** undefined: 0.1, or 0 below 20 rows and where there are validation rows: validationPath, or a validation split that comes with the data. */
  validationRatio?: number
  /** How the share is chosen. Default: at random, by the seed. */
  split?: SplitOptions
  /** Rows to leave out: see docs/data.md. */
  filters?: FilterInput | readonly FilterInput[]
  /** The report quotes the first rows that each filter takes out. Default: it says where they are. */
  filterExcerpts?: boolean
  /** A row of more characters is bad: its tokens would take some hundred times as many bytes. Default 2^21. */
  maxRowCharacters?: number
  seed: number
  tokenizer: TextTokenizer
  maxSeqLength: number
  /** What carries loss: answers (completions, every turn of the assistant), the last of them alone, or all tokens. Default answers. */
  trainOn?: TrainOn
  /** The same as trainOn 'all'. */
  trainOnPrompt?: boolean
  /** false: what ends an answer carries no loss, so that nothing about when to stop is learned. Default true. */
  trainOnEndOfTurn?: boolean
  /** What becomes of rows longer than maxSeqLength. Default truncate. */
  overflow?: Overflow
  /** With overflow 'split': tokens that parts share. Default 0. */
  stride?: number
  allowTruncation?: boolean
  /** Threads that tokenize. Default: this one alone for little data, else one for each core. */
  threads?: number
  /** Prepared rows are kept, and come from there the next time. Default: no. */
  cache?: CacheOptions | false
  /** Bytes of tokens and labels that are held in memory; more go to a file. Default 128 MiB. */
  memoryBudget?: number
  /** Reading ends with so many rows that filters and overflow leave. */
  maxSamples?: number
  onBadRow?: OnBadRow
  /** A Jinja file, instead of the model's own template. */
  chatTemplate?: string
  /** Ids of tokenized rows must be below it. Default: the model's, else the tokenizer's. */
  vocabSize?: number
  /** What a template's strftime_now calls now. Default: now; a resumed run passes templateDate. */
  now?: Date
  signal?: AbortSignal
  onProgress?(progress: Progress): void
}

const optionNames: OptionNames<PrepareDatasetOptions> = {
  paths: true, read: true, mixStop: true, validationPath: true, validationRatio: true, split: true, filters: true, filterExcerpts: true, maxRowCharacters: true, seed: true, tokenizer: true, maxSeqLength: true, trainOn: true, trainOnPrompt: true, trainOnEndOfTurn: true, overflow: true, stride: true, allowTruncation: true,
  columns: true, columnSeparator: true, template: true, rowSchema: true, threads: true, cache: true, memoryBudget: true, maxSamples: true, onBadRow: true, chatTemplate: true, vocabSize: true, now: true, signal: true, onProgress: true,
}

const keptExamples = 5
const autoRatio = 0.1
const autoRatioRows = 20

/** Errors: FT_DATASET, FT_DATASET_ROW, FT_NO_TEXT_COLUMNS, FT_EMPTY_DATASET, FT_NO_LABELS, FT_TRUNCATION, FT_TEMPLATE, FT_CANCELLED. */
export async function prepareRows(options: PrepareDatasetOptions): Promise<PreparedDataset> {
  checkOptions(options)
  const now = options.now ?? new Date()
  const { train: files, validation: validationFiles } = await findFiles({ ...options, read: readOnly(options) })
  const reader = await RowReader.open(options)
  const chosen = await chooseTemplate(options.tokenizer, options.chatTemplate)
  const cache = await openCache(options, { train: files, validation: validationFiles }, chosen, now)
  const kept = (await cache?.find(options.memoryBudget ?? defaultMemoryBudget)) ?? null
  if (kept !== null) return kept
  const renderer = chosen === null ? null : openRenderer(options.tokenizer, chosen, now)
  const context = { ...contextOf(options), renderer }
  const journal = (await cache?.journal()) ?? null
  const pool = openPool(options, [...files, ...validationFiles], chosen, now)
  const encoder = pool ?? new RowEncoder(context)
  const collected = new Collected(options, context, reader, { encoder: journal?.around(encoder) ?? encoder })
  let done = false
  try {
    await collected.read(files)
    const trainRows = collected.store.rows.length
    // Where no row is good, the first fault says more than "empty".
    if (trainRows === 0) collected.badRows.check()
    refuseEmpty(files, trainRows, collected.filter)
    if (validationFiles.length > 0) {
      await collected.read(validationFiles, 'validation')
      refuseEmpty(validationFiles, collected.store.rows.length - trainRows, collected.filter)
    }
    collected.badRows.check()
    collected.filter.end()
    const validation = splitRows(collected.splitter, collected.supervised, trainRows, options)
    collected.drop(validation)
    refuseTruncation(collected.store, options)
    refuseUnlabelled(collected, validation, files, validationFiles)
    const prepared = finish(collected, validation, collected.store.rows.length - trainRows, chosen !== null && usesClock(chosen) ? now.toISOString() : null)
    await cache?.keep(prepared)
    done = true
    return prepared
  } finally {
    await pool?.dispose()
    await journal?.close({ done })
    await renderer?.dispose()
  }
}

/** Smaller data is tokenized before threads have started. */
const poolBytes = 32e6

/** null: this thread does it. */
function openPool(options: PrepareDatasetOptions, files: readonly DataFile[], template: ChosenTemplate | null, now: Date): EncodePool | null {
  const { tokenizer } = options
  const threads = options.threads ?? (files.reduce((sum, { bytes }) => sum + bytes, 0) < poolBytes ? 1 : poolThreads())
  if (threads < 2 || !canOpenAgain(tokenizer)) return null
  const { trainOn, endOfTurn, vocabSize } = contextOf(options)
  return new EncodePool({ folder: tokenizer.folder, template, now: now.getTime(), trainOn, endOfTurn, vocabSize }, threads)
}

/** Where these rows may be from an earlier run; null: they are not kept. */
async function openCache(options: PrepareDatasetOptions, files: DataFiles, template: ChosenTemplate | null, now: Date): Promise<DatasetCache | null> {
  if (options.cache === undefined || options.cache === false) return null
  const { paths: _paths, validationPath: _validation, tokenizer, now: given, signal: _signal, onProgress: _progress, memoryBudget: _budget, threads: _threads, cache, chatTemplate: _template, ...rest } = options
  // A template that writes the date writes another one tomorrow.
  const clock = template !== null && usesClock(template) ? `${given?.toISOString() ?? dayOf(now)} ${zoneOf(now)}` : null
  const optionFiles = typeof rest.rowSchema === 'string' ? [rest.rowSchema] : []
  return await DatasetCache.open(cache, { ...files, tokenizer, template, now: clock, options: rest, optionFiles })
}

/** The day that a template writes: of where we are. */
function dayOf(date: Date): string {
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].join('-')
}

function zoneOf(date: Date): string {
  return `${Intl.DateTimeFormat().resolvedOptions().timeZone} ${date.getTimezoneOffset()}`
}

export function contextOf({ tokenizer, trainOn, trainOnPrompt, trainOnEndOfTurn, vocabSize }: Pick<PrepareDatasetOptions, 'tokenizer' | 'trainOn' | 'trainOnPrompt' | 'trainOnEndOfTurn' | 'vocabSize'>): Omit<EncodeContext, 'renderer'> {
  return { tokenizer, trainOn: trainOn ?? (trainOnPrompt ? 'all' : 'answers'), endOfTurn: trainOnEndOfTurn ?? true, vocabSize: vocabSize ?? tokenizer.modelVocabSize ?? tokenizer.vocabSize }
}

function checkOptions(options: PrepareDatasetOptions): void {
  checkNames('prepareDataset', options, optionNames)
  const given: Partial<PrepareDatasetOptions> = options
  if (given.paths === undefined || !isTokenizer(given.tokenizer)) fail('FT_INVALID_ARGUMENT', 'preparing data needs paths and a tokenizer', { remedy: 'pass { paths, tokenizer, maxSeqLength, seed }' })
  const { maxSeqLength, validationRatio: ratio, seed, stride, maxRowCharacters } = options
  if (!Number.isInteger(maxSeqLength) || maxSeqLength < 2) fail('FT_INVALID_ARGUMENT', `max_seq_length must be an integer of at least 2, got ${maxSeqLength}`)
  if (ratio !== undefined && !(typeof ratio === 'number' && ratio >= 0 && ratio < 1)) fail('FT_INVALID_ARGUMENT', `validation_ratio must be from 0 to below 1, got ${ratio}`)
  checkRowLimit(maxRowCharacters)
  if (options.trainOnEndOfTurn === false && (options.trainOn === 'all' || options.trainOnPrompt)) {
    fail('FT_INVALID_ARGUMENT', 'trainOn all gives every token loss, and trainOnEndOfTurn false takes some away', { remedy: 'leave one of them out' })
  }
  if (stride !== undefined && !(Number.isInteger(stride) && stride >= 0 && stride < maxSeqLength)) fail('FT_INVALID_ARGUMENT', `the stride must be an integer from 0 to below max_seq_length, got ${stride}`)
  if (!Number.isSafeInteger(seed)) fail('FT_INVALID_ARGUMENT', `the seed must be an integer, got ${seed}`)
}

/** Rows as they come, and what is worth a word in the report. */
export class Collected {
  readonly badRows: BadRows
  readonly store: RowStore
  readonly encoder: RowsEncoder
  readonly shapes: Record<string, number> = {}
  readonly notes = { namesControlTokens: 0, emptyCompletion: 0, unstableTemplate: 0 } satisfies Record<keyof RowNotes, number>
  withoutEnd = 0
  /** Where the first rows without labels are. */
  readonly unlabelled: string[] = []
  readonly filter: DatasetFilter
  readonly splitter: Splitter
  /** Rows of the store that a filter took out once the split was known. */
  dropped: ReadonlySet<number> = new Set()
  /** Of the stored rows, where a filter needs them. */
  readonly #places: RowPlace[] = []

  constructor(readonly options: CollectedOptions, readonly context: EncodeContext, readonly reader: RowReader, { keepRows = true, badRows, encoder }: { keepRows?: boolean; badRows?: BadRows; encoder?: RowsEncoder } = {}) {
    this.encoder = encoder ?? new RowEncoder(context)
    this.badRows = badRows ?? new BadRows(options.onBadRow ?? 'stop')
    const overflow = { overflow: options.overflow ?? 'truncate', maxSeqLength: options.maxSeqLength, stride: options.stride ?? 0, bosTokenId: context.tokenizer.bosTokenId } as const
    this.store = new RowStore(overflow, options.memoryBudget, keepRows)
    this.filter = new DatasetFilter(options.filters, { excerpts: options.filterExcerpts })
    this.splitter = new Splitter(options.split)
  }

  async read(files: readonly DataFile[], side: Side = 'train', onRow?: CollectedRow): Promise<void> {
    const { context, badRows, reader, encoder, filter, splitter } = this
    const { signal, onProgress, maxSamples, maxRowCharacters } = this.options
    const candidate = ({ place, value, row }: SourceRow): FilterRow => new FilterRow(place, value, row, side)
    await collectRows({
      files, reader, encoder, badRows, signal, onProgress, maxSamples, maxRowCharacters,
      keeps: (source) => filter.keeps(candidate(source)),
      onRow: (row, source) => {
        if (!filter.keepsTokens(row.inputIds.length, candidate(source))) return false
        if (this.store.drops(row)) return false
        if (side === 'train') splitter.add(source)
        filter.taken(this.store.rows.length, candidate(source))
        if (filter.waitsForSplit) this.#places.push(source.place)
        const stored = this.store.add(row)
        if (stored.supervised === 0 && this.unlabelled.length < keptExamples) this.unlabelled.push(placeText(source.place))
        this.shapes[source.shape] = (this.shapes[source.shape] ?? 0) + 1
        for (const note of Object.keys(this.notes) as (keyof RowNotes)[]) if (row.notes[note]) this.notes[note]++
        if (context.tokenizer.eosTokenId === null && endsWithEos(source.row.kind, context)) this.withoutEnd++
        onRow?.(row, source, stored)
        return true
      },
    })
  }

  /** Whether row i has loss. */
  get supervised(): boolean[] {
    return this.store.rows.map(({ supervised }) => supervised > 0)
  }

  /** What filters take out of the rows to train on because of the held-out ones. */
  drop(held: ReadonlySet<number>): void {
    this.dropped = this.filter.split(held, (index) => this.#places[index] as RowPlace)
  }

  report(): DatasetReport {
    const { store, badRows } = this
    const left = this.dropped.size === 0 ? store : countsOf(store.rows.filter((_, index) => !this.dropped.has(index)))
    return {
      rows: left.rows.length,
      skippedBadRows: badRows.skipped,
      badRowExamples: badRows.examples,
      truncatedRows: store.truncatedRows,
      droppedRows: store.droppedRows,
      splitRows: store.splitRows,
      lostSupervisedTokens: store.lostSupervisedTokens,
      supervisedTokens: left.supervisedTokens,
      tokens: left.tokens,
      maxLength: left.maxLength,
      rowsWithoutLabels: left.rowsWithoutLabels,
      rowsWithoutLabelsExamples: [...this.unlabelled],
      shapes: { ...this.shapes },
      detection: [...this.reader.detection],
      filtered: this.filter.report,
      warnings: this.#warnings(),
    }
  }

  #warnings(): string[] {
    const { store, badRows, notes } = this
    const example = this.context.tokenizer.controlTokens.find((token) => token.length > 3) ?? 'a control token'
    const removed = this.filter.report.filter((one) => one.removed > 0)
    const all: (readonly [number, (rows: string) => string])[] = [
      [this.filter.removed, (rows) => `${rows} left out by filters: ${removed.map((one) => `${one.filter} ${one.removed}, the first ${one.examples[0] ?? ''}`).join('; ')}`],
      [badRows.skipped, (rows) => `${rows} cannot be used and left out; the first: ${badRows.examples[0] ?? ''}`],
      [store.truncatedRows, (rows) => `${rows} longer than ${store.maxSeqLength} tokens cut: ${describeLoss(store)}`],
      [store.droppedRows, (rows) => `${rows} longer than ${store.maxSeqLength} tokens dropped: ${describeLoss(store)}`],
      [store.splitRows, (rows) => `${rows} longer than ${store.maxSeqLength} tokens split: ${describeLoss(store)}`],
      [store.rowsWithoutLabels, (rows) => `${rows} without any token that carries loss (${listed(this.unlabelled, store.rowsWithoutLabels)}): nothing is learned from these`],
      [notes.emptyCompletion, (rows) => `${rows} with an empty completion: these teach only to end at once`],
      [notes.namesControlTokens, (rows) => `${rows} with texts that name control tokens, such as ${example}: they are kept as text; conversations belong into {messages}`],
      [notes.unstableTemplate, (rows) => `${rows} whose earlier turns the chat template renders differently once later ones follow: what the assistant wrote was found by its content`],
      [this.withoutEnd, (rows) => `${rows} end without an end-of-sequence token, because the tokenizer names none: set eos_token in tokenizer_config.json`],
    ]
    return all.flatMap(([count, text]) => (count === 0 ? [] : [text(count === 1 ? '1 row' : `${count} rows`)]))
  }
}

function endsWithEos(kind: ParsedRow['kind'], { renderer }: EncodeContext): boolean {
  return kind === 'text' || kind === 'pair' || (kind === 'instruction' && renderer === null)
}

function listed(examples: readonly string[], count: number): string {
  return `${examples.join(', ')}${count > examples.length ? ' …' : ''}`
}

type CollectedOptions = Pick<PrepareDatasetOptions, 'maxSamples' | 'memoryBudget' | 'onBadRow' | 'maxSeqLength' | 'overflow' | 'stride' | 'signal' | 'onProgress' | 'filters' | 'filterExcerpts' | 'maxRowCharacters' | 'split'>

function countsOf(rows: RowStore['rows']): Pick<RowStore, 'rows' | 'supervisedTokens' | 'tokens' | 'maxLength' | 'rowsWithoutLabels'> {
  const counts = { rows, supervisedTokens: 0, tokens: 0, maxLength: 0, rowsWithoutLabels: 0 }
  for (const { length, supervised } of rows) {
    counts.supervisedTokens += supervised
    counts.tokens += length
    counts.maxLength = Math.max(counts.maxLength, length)
    if (supervised === 0) counts.rowsWithoutLabels++
  }
  return counts
}

/** @param stored what is left of the row; of several parts, all */
export type CollectedRow = (row: EncodedRow, source: SourceRow, stored: StoredRow) => void

function describeLoss(store: RowStore): string {
  const { lostSupervisedTokens: lost, supervisedBefore: all } = store
  return `${lost} of ${all} tokens with loss are lost (${((100 * lost) / Math.max(1, all)).toFixed(2)} %)`
}

function refuseEmpty(files: readonly DataFile[], rows: number, filter: DatasetFilter): void {
  if (rows > 0) return
  if (filter.removed > 0) {
    const list = filter.report.filter(({ removed }) => removed > 0).map((one) => `${one.filter} ${one.removed}`)
    fail('FT_EMPTY_DATASET', `the filters left no row of ${files.map((file) => file.path).join(', ')}: ${list.join(', ')}`, {
      remedy: 'loosen dataset.filters', details: { filtered: filter.report },
    })
  }
  fail('FT_EMPTY_DATASET', `no row in ${files.map((file) => file.path).join(', ')}`, {
    remedy: 'write one JSON object a line, for example {"text": "…"}',
    details: { paths: files.map((file) => file.path) },
  })
}

/** Training rows, and the rows to evaluate on where they are files of their own. */
export async function findFiles({ paths, validationPath, validationRatio, read: settings, mixStop: stop, seed, signal }: PrepareDatasetOptions): Promise<DataFiles> {
  const commits = new Map<string, string>()
  const found = await findDataSets(paths, { settings, mix: { seed, stop }, commits, signal })
  if (validationPath === undefined) return validationRatio === undefined ? found : { train: found.train, validation: [] }
  const own = await findDataSets(validationPath, { settings: { ...settings, split: undefined }, commits, signal })
  return { train: found.train, validation: own.validation.length > 0 ? own.validation : own.train }
}

/** Columns that are named are all that is read, where nothing else looks at the rows: formats that can leave others unread do. */
export function readOnly({ read, columns, rowSchema, filters, split }: Pick<PrepareDatasetOptions, 'read' | 'columns' | 'rowSchema' | 'filters' | 'split'>): SourceSettings | undefined {
  const others = rowSchema !== undefined || [filters ?? []].flat().length > 0 || split?.by !== undefined || split?.stratify !== undefined
  if (columns === undefined || others || read?.columns !== undefined) return read
  return { ...read, columns: Object.values(columns).flatMap((names) => names ?? []) }
}

/** Indices of the validation rows. @param supervised whether row i has loss; rows of validation files follow those to train on */
export function splitRows(splitter: Splitter, supervised: readonly boolean[], trainRows: number, { validationRatio, seed }: Pick<PrepareDatasetOptions, 'validationRatio' | 'seed'>): Set<number> {
  if (supervised.length > trainRows) return new Set([...supervised.keys()].slice(trainRows))
  const ratio = validationRatio ?? (trainRows < autoRatioRows ? 0 : autoRatio)
  // A row without labels has no loss to measure.
  return ratio === 0 ? new Set() : splitter.choose(supervised, ratio, seed)
}

function refuseTruncation(store: RowStore, { allowTruncation, maxSeqLength }: PrepareDatasetOptions): void {
  const lost = store.lostSupervisedTokens
  if (allowTruncation || lost <= toleratedLoss * store.supervisedBefore) return
  fail('FT_TRUNCATION', `${store.truncatedRows + store.droppedRows + store.splitRows} of ${store.rows.length + store.droppedRows} rows are longer than ${maxSeqLength} tokens: ${describeLoss(store)}, more than 1 % are an error`, {
    remedy: 'raise --max-seq-length, shorten these rows or split them (--overflow split), or accept the loss with --allow-truncation',
    details: { truncatedRows: store.truncatedRows, droppedRows: store.droppedRows, splitRows: store.splitRows, rows: store.rows.length, lostSupervisedTokens: lost, supervisedTokens: store.supervisedBefore, maxSeqLength },
  })
}

function refuseUnlabelled({ store, dropped }: Collected, validation: ReadonlySet<number>, files: readonly DataFile[], validationFiles: readonly DataFile[]): void {
  const supervised = { train: 0, validation: 0 }
  store.rows.forEach((row, index) => (supervised[validation.has(index) ? 'validation' : 'train'] += dropped.has(index) ? 0 : row.supervised))
  const heldFiles = validationFiles.length > 0 ? validationFiles : files
  const where = supervised.train === 0 ? files : validation.size > 0 && supervised.validation === 0 ? heldFiles : null
  if (where === null) return
  fail('FT_NO_LABELS', `no token of ${where === files && supervised.train > 0 ? 'the held-out rows of ' : ''}${where.map((file) => file.path).join(', ')} carries loss`, {
    remedy: 'give rows a completion, an assistant turn or labels other than -100; if the prompts fill --max-seq-length, raise it; --train-on-prompt trains on prompts too',
    details: { rows: store.rows.length, truncatedRows: store.truncatedRows },
  })
}

function finish(collected: Collected, validation: ReadonlySet<number>, validationFileRows: number, templateDate: string | null): PreparedDataset {
  const { store } = collected
  const { rows } = store
  // Not the split by seed and ratio: of a run that changed its seed, the data are still the same.
  const data = createHash('sha256').update(store.digest()).update(JSON.stringify({ rows: rows.length, validationFileRows }))
  const sides = { train: [] as EncodedRow[], validation: [] as EncodedRow[] }
  for (const [index, row] of rows.entries()) {
    const held = validation.has(index)
    if (held || !collected.dropped.has(index)) for (const part of store.parts(row)) sides[held ? 'validation' : 'train'].push(part)
  }
  return {
    ...sides,
    report: collected.report(),
    fingerprint: data.digest('hex'),
    templateDate,
    ...(validationFileRows > 0 ? { ownValidation: true as const } : {}),
  }
}
