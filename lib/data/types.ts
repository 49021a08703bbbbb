// The words the data floor speaks: where a row came from, what it became, and what was found on the way.

/** Label of a position that carries no loss. */
export const ignoreLabel = -100

/** Share of the tokens with loss that truncation may take before a run is refused. */
export const toleratedLoss = 0.01

/** One row in tokens. Both arrays have the same length; labels[t] is what the tokens before t should predict. */
export interface EncodedRow {
  inputIds: Int32Array
  labels: Int32Array
  /** How many tokens, where a row is read only when it is looked at. */
  readonly length?: number
}

/** Without reading a row that lies in a file. */
export function rowLength(row: EncodedRow): number {
  return row.length ?? row.inputIds.length
}

/** Where a row, or the fault in it, is; lines and columns count from 1. */
export interface RowPlace {
  file: string
  line: number
  column?: number
  /** The file has no lines (Parquet): `line` is the row's number. */
  row?: true
}

export function placeText(place: RowPlace): string {
  if (place.row === true) return `${place.file}: row ${place.line}`
  return place.column === undefined ? `${place.file}:${place.line}` : `${place.file}:${place.line}:${place.column}`
}

export type RowValue = Readonly<Record<string, unknown>>

/** What a loader yields: a row, or the reason why there is none. The reason never quotes the row. */
export type LoadedRow = { place: RowPlace; value: RowValue } | { place: RowPlace; problem: string }

/** What a bad row does to a run: end it, or be left out and counted (more than 1 % ends it too). */
export type OnBadRow = 'stop' | 'skip'

export interface FilterReport {
  filter: string
  removed: number
  /** The first of them, as "file:line: reason". */
  examples: string[]
  /** The same with the beginning of what they say; only where filterExcerpts asks for it. */
  excerpts?: FilterExcerpt[]
  /** It has limits in tokens, and the rows were not tokenized. */
  needsTokens?: true
}

export interface FilterExcerpt {
  place: string
  reason: string
  /** At most 200 characters. */
  text: string
}

export interface DatasetReport {
  /** Rows that became tokens, training and validation together. */
  rows: number
  skippedBadRows: number
  /** The first of them, as "file:line:column: reason". */
  badRowExamples: string[]
  truncatedRows: number
  /** Rows too long that were dropped, and that became several rows. */
  droppedRows: number
  splitRows: number
  lostSupervisedTokens: number
  /** Positions with loss after truncation: labels[1:] ≠ -100. */
  supervisedTokens: number
  tokens: number
  /** Longest row after truncation. */
  maxLength: number
  /** Rows none of whose tokens carries loss; they stay in the data. */
  rowsWithoutLabels: number
  /** The first of them, as "file:line". */
  rowsWithoutLabelsExamples: string[]
  /** Row format → rows. */
  shapes: Record<string, number>
  /** Why columns of no known shape were read as they were; empty where nothing had to be guessed. */
  detection: string[]
  /** What each filter left out, in their order. */
  filtered: FilterReport[]
  warnings: string[]
}

/** Positions with loss: the first token of a row is never predicted. */
export function countSupervised(labels: Int32Array): number {
  let count = 0
  for (let t = 1; t < labels.length; t++) if (labels[t] !== ignoreLabel) count++
  return count
}

/** Rows as tokens, ready to train on. */
export interface PreparedDataset {
  train: EncodedRow[]
  validation: EncodedRow[]
  report: DatasetReport
  /** SHA-256 of the encoded rows, and of how many come from validationPath: with the same seed and ratio the same data trains the same. */
  fingerprint: string
  /** ISO date that the chat template wrote into the rows, or null: it writes none. */
  templateDate: string | null
  /** The validation rows are files of their own, and no share of the others. */
  ownValidation?: true
}
