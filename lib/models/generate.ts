// Generation over one or several prompts: token by token from the engine, text piece by piece through the tokenizer,
// stop strings, cancellation. Half characters and possible beginnings of stop strings are held back.
import { FineTuneError, makeError } from '../core/errors/index.js'
import type { OptionNames } from '../core/options.js'
import type { StreamDecoder, TextTokenizer } from '../data/index.js'
import type { NativeGeneration, NativeModel } from '../native/binding.js'
import { withCancel } from './cancel.js'
import type { TokenRow } from './batch.js'
import { StopStrings } from './stop-strings.js'

export interface GenerateOptions {
  /** Default 256. */
  maxNewTokens?: number
  /** 0, the default: the most likely token, always. */
  temperature?: number
  /** Sample among the k most likely tokens; 0, the default: all. */
  topK?: number
  /** Sample among the most likely tokens that together reach this probability; 1, the default: all. */
  topP?: number
  /** Above 1: tokens that were there become less likely. Default 1. */
  repetitionPenalty?: number
  /** Same seed, prompt and options: same text. Default 0. */
  seed?: number
  /** Text that ends a row; it is not part of the result. */
  stop?: string | readonly string[]
  /** Token ids that end a row, besides the model's end-of-sequence ids. */
  stopTokenIds?: readonly number[]
  /** Go on behind end-of-sequence tokens. */
  ignoreEos?: boolean
  /** Whether the tokenizer adds its special tokens (a beginning-of-sequence token) to a text prompt. Default true. */
  addSpecialTokens?: boolean
  /** false: compute the whole row again for every token; slow, a check of the cache. */
  useCache?: boolean
  signal?: AbortSignal
}

export const generateOptionNames: OptionNames<GenerateOptions> = {
  maxNewTokens: true, temperature: true, topK: true, topP: true, repetitionPenalty: true, seed: true, stop: true, stopTokenIds: true, ignoreEos: true,
  addSpecialTokens: true, useCache: true, signal: true,
}

export type FinishReason = 'length' | 'stop_token' | 'stop_string'

export interface GeneratedRow {
  /** Without the stop token or stop string; "" where the model has no tokenizer. */
  text: string
  /** Every token that was produced, a stop token included. */
  tokens: number[]
  finishReason: FinishReason
}

/** What a generation needs of its model. */
export interface GenerationModel {
  native: NativeModel
  eosTokenIds: readonly number[]
  tokenizer(): Promise<TextTokenizer>
}

const defaultMaxNewTokens = 256

function stopTexts(stop: unknown): string[] {
  const texts: unknown[] = stop === undefined ? [] : Array.isArray(stop) ? stop : [stop]
  const wrong = texts.find((text) => typeof text !== 'string')
  if (wrong !== undefined) throw makeError('FT_INVALID_ARGUMENT', `stop must be a text or a list of texts, got ${typeof wrong}`, { remedy: 'stopTokenIds takes ids' })
  return texts as string[]
}

function stopIds(model: GenerationModel, options: Pick<GenerateOptions, 'ignoreEos' | 'stopTokenIds'>): Set<number> {
  return new Set([...(options.ignoreEos === true ? [] : model.eosTokenIds), ...(options.stopTokenIds ?? [])])
}

export function toTokenRow(prompt: TokenRow): Int32Array {
  if (prompt instanceof Int32Array) return prompt
  for (const [index, id] of prompt.entries()) {
    if (typeof id !== 'number' || (id | 0) !== id) throw makeError('FT_INVALID_ARGUMENT', `prompt[${index}] is ${String(id)}, no token id`, { remedy: 'pass text or token ids' })
  }
  return Int32Array.from(prompt)
}

/** One array a step: a token for each row, -1 where the row has ended. `finish` ends a row early. */
async function* steps(
  model: GenerationModel,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
): AsyncGenerator<{ tokens: Int32Array; finish(row: number): void }> {
  const { signal } = options
  if (options.maxNewTokens === 0) return
  const generation: NativeGeneration = await withCancel(signal, () =>
    model.native.startGeneration([...prompts], {
      maxNewTokens: options.maxNewTokens ?? defaultMaxNewTokens,
      temperature: options.temperature ?? 0,
      topK: options.topK ?? 0,
      topP: options.topP ?? 1,
      repetitionPenalty: options.repetitionPenalty ?? 1,
      seed: options.seed ?? 0,
      stopTokenIds: Int32Array.from(stopIds(model, options)),
      useCache: options.useCache ?? true,
    }),
  )
  try {
    for (;;) {
      const { tokens, done } = await withCancel(signal, (cancel) => generation.next(cancel))
      yield { tokens, finish: (row) => generation.finish(row) }
      if (done) return
    }
  } finally {
    generation.dispose()
  }
}

export async function* generateTokens(model: GenerationModel, prompt: TokenRow, options: GenerateOptions = {}): AsyncGenerator<number, void, undefined> {
  if (options.stop !== undefined) throw makeError('FT_INVALID_ARGUMENT', 'stop strings need a text prompt', { remedy: 'use stopTokenIds, or pass the prompt as text' })
  for await (const { tokens } of steps(model, [toTokenRow(prompt)], options)) {
    const token = tokens[0]
    if (token !== undefined && token >= 0) yield token
  }
}

/** Text of one row as tokens arrive. */
class RowText {
  readonly tokens: number[] = []
  finishReason: FinishReason = 'length'
  readonly #stops: StopStrings
  readonly #stopIds: ReadonlySet<number>
  readonly #decoder: StreamDecoder | undefined
  #over = false

  constructor(tokenizer: TextTokenizer | null, prompt: Int32Array, ids: ReadonlySet<number>, stop: GenerateOptions['stop']) {
    this.#stops = new StopStrings(stopTexts(stop))
    this.#stopIds = ids
    this.#decoder = tokenizer?.streamDecoder({ before: prompt })
  }

  get over(): boolean {
    return this.#over
  }

  async push(token: number): Promise<string> {
    if (this.#over || token < 0) return ''
    this.tokens.push(token)
    if (this.#stopIds.has(token)) {
      this.finishReason = 'stop_token'
      return await this.end()
    }
    return this.#find((await this.#decoder?.push(token)) ?? '')
  }

  async end(): Promise<string> {
    if (this.#over) return ''
    const found = this.#find((await this.#decoder?.end()) ?? '')
    this.#over = true
    return this.finishReason === 'stop_string' ? found : found + this.#stops.end()
  }

  #find(piece: string): string {
    const { text, stopped } = this.#stops.push(piece)
    if (stopped) {
      this.#over = true
      this.finishReason = 'stop_string'
    }
    return text
  }
}

export async function* generateText(model: GenerationModel, prompt: string, options: GenerateOptions = {}): AsyncGenerator<string, GeneratedRow, undefined> {
  const tokenizer = await model.tokenizer()
  const ids = await tokenizer.encode(prompt, { addSpecialTokens: options.addSpecialTokens ?? true })
  const row = new RowText(tokenizer, ids, stopIds(model, options), options.stop)
  let text = ''
  for await (const { tokens } of steps(model, [ids], options)) {
    const piece = await row.push(tokens[0] ?? -1)
    text += piece
    if (piece !== '') yield piece
    if (row.over) break
  }
  const rest = await row.end()
  if (rest !== '') yield rest
  return { text: text + rest, tokens: row.tokens, finishReason: row.finishReason }
}

export interface GenerateBatchOptions extends Omit<GenerateOptions, 'maxNewTokens'> {
  /** Of every row, or one number a row. Default 256. */
  maxNewTokens?: number | readonly number[]
  /** Text as it arrives; row: index of the prompt. */
  onPiece?: (row: number, piece: string) => void
}

export const generateBatchOptionNames: OptionNames<GenerateBatchOptions> = { ...generateOptionNames, onPiece: true }

/** How many tokens each row may get. */
function roomsOf(maxNewTokens: number | readonly number[] | undefined, rows: number): readonly number[] {
  if (!Array.isArray(maxNewTokens)) return new Array<number>(rows).fill((maxNewTokens as number | undefined) ?? defaultMaxNewTokens)
  const rooms = maxNewTokens as readonly number[]
  if (rooms.length !== rows) throw makeError('FT_INVALID_ARGUMENT', `maxNewTokens has ${rooms.length} numbers for ${rows} prompts`, { remedy: 'give one number, or one a prompt' })
  const wrong = rooms.find((room) => !Number.isInteger(room) || room < 0)
  if (wrong !== undefined) throw makeError('FT_INVALID_ARGUMENT', `maxNewTokens must be whole numbers of at least 0, got ${String(wrong)}`, { remedy: 'give one number, or one a prompt' })
  return rooms
}

/** The tokenizer, or null where there is none and nobody asked for text. Errors: FT_TOKENIZER, FT_TOKENIZER_MISSING. */
async function tokenizerFor(model: GenerationModel, prompts: readonly (string | TokenRow)[], { stop, onPiece }: GenerateBatchOptions): Promise<TextTokenizer | null> {
  const needed = stop !== undefined || onPiece !== undefined || prompts.some((prompt) => typeof prompt === 'string')
  try {
    return await model.tokenizer()
  } catch (error) {
    if (!needed && error instanceof FineTuneError && error.code === 'FT_TOKENIZER_MISSING') return null
    throw error
  }
}

/** All prompts at once. Where all are token ids a model without tokenizer will do: `text` is then empty. */
export async function generateBatch(model: GenerationModel, prompts: readonly (string | TokenRow)[], options: GenerateBatchOptions = {}): Promise<GeneratedRow[]> {
  if (prompts.length === 0) return []
  const tokenizer = await tokenizerFor(model, prompts, options)
  const encode = async (prompt: string | TokenRow): Promise<Int32Array> => {
    if (typeof prompt !== 'string') return toTokenRow(prompt)
    return await (tokenizer ?? (await model.tokenizer())).encode(prompt, { addSpecialTokens: options.addSpecialTokens ?? true })
  }
  const ids = await Promise.all(prompts.map(encode))
  const stops = stopIds(model, options)
  const rooms = roomsOf(options.maxNewTokens, prompts.length)
  const rows = ids.map((prompt, index) => ({ row: new RowText(tokenizer, prompt, stops, options.stop), text: '', room: rooms[index] as number }))
  const add = (index: number, piece: string): void => {
    const entry = rows[index]
    if (entry === undefined || piece === '') return
    entry.text += piece
    options.onPiece?.(index, piece)
  }
  for await (const { tokens, finish } of steps(model, ids, { ...options, maxNewTokens: Math.max(...rooms) })) {
    for (const [index, { row, room }] of rows.entries()) {
      if (row.over) continue
      if (room > 0) add(index, await row.push(tokens[index] ?? -1))
      if (row.tokens.length >= room) add(index, await row.end())
      if (row.over && row.finishReason !== 'stop_token') finish(index)
    }
    if (rows.every(({ row }) => row.over)) break
  }
  for (const [index, { row }] of rows.entries()) add(index, await row.end())
  return rows.map(({ row, text }) => ({ text, tokens: row.tokens, finishReason: row.finishReason }))
}
