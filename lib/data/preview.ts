// Rows as the model gets them: taken from the batch that training would make of them, token by token, with the text that
// each token adds and whether it is learned.
import { toBatch } from './plan.js'
import type { TextTokenizer } from './tokenizer/index.js'
import { ignoreLabel, type EncodedRow } from './types.js'

export interface PreviewToken {
  id: number
  /** What it adds to the text; empty where a character is not complete yet. */
  text: string
  /** The model learns to predict it. */
  learned: boolean
  /** A control token, not text. */
  special: boolean
}

export interface PreviewRow {
  /** "file:line" */
  place: string
  shape: string
  /** As in the batch. */
  inputIds: Int32Array
  labels: Int32Array
  tokens: PreviewToken[]
}

export interface PlacedRow {
  place: string
  shape: string
  row: EncodedRow
}

/** In the order given. */
export async function previewRows(tokenizer: TextTokenizer, rows: readonly PlacedRow[]): Promise<PreviewRow[]> {
  if (rows.length === 0) return []
  const batch = toBatch(rows.map(({ row }) => row))
  const shown: PreviewRow[] = []
  for (const [i, { place, shape }] of rows.entries()) {
    const [from, to] = [batch.cuSeqlens[i], batch.cuSeqlens[i + 1]]
    const inputIds = batch.inputIds.slice(from, to)
    const labels = batch.labels.slice(from, to)
    shown.push({ place, shape, inputIds, labels, tokens: await tokensOf(tokenizer, inputIds, labels) })
  }
  return shown
}

/** Texts of the tokens joined are the text of the row. */
export async function tokensOf(tokenizer: TextTokenizer, inputIds: Int32Array, labels: Int32Array): Promise<PreviewToken[]> {
  const stream = tokenizer.kind === 'none' ? null : tokenizer.streamDecoder({ skipSpecialTokens: false })
  const tokens: PreviewToken[] = []
  for (const [t, id] of inputIds.entries()) {
    // Without a tokenizer the ids are all there is to show. The first token of a row is never predicted.
    const text = stream === null ? `${id} ` : await stream.push(id)
    tokens.push({ id, text, learned: t > 0 && labels[t] !== ignoreLabel, special: tokenizer.isSpecial(id) })
  }
  const last = tokens[tokens.length - 1]
  if (last !== undefined && stream !== null) last.text += await stream.end()
  return tokens
}
