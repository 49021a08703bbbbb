// Parsed rows → tokens and labels, a batch at a time. The one place where every kind of row becomes what the
// engine trains on; inspect and training both come through here.
import { fail, FineTuneError } from '../core/errors/index.js'
import type { ChatRow, PairRow, ParsedRow } from './formats/index.js'
import { labelSpans, learnedTurns, type Span, type TrainOn } from './masking.js'
import type { SourceRow } from './rows.js'
import type { ChatResult } from './templates/chat.js'
import type { ChatRenderer } from './templates/renderer.js'
import type { Encoded, EncodeRequest, TextTokenizer } from './tokenizer/index.js'
import { TokenTrie } from './tokenizer/trie.js'
import { ignoreLabel, placeText, type EncodedRow } from './types.js'

export interface EncodeContext {
  tokenizer: TextTokenizer
  /** null: the model has no chat template. */
  renderer: ChatRenderer | null
  trainOn: TrainOn
  /** What ends an answer carries loss with it: the end-of-turn token of a template, the end-of-sequence token after a completion. */
  endOfTurn: boolean
  /** Ids of tokenized rows are below this. */
  vocabSize: number
}

export interface RowNotes {
  /** Its text names control tokens, which were kept as text. */
  namesControlTokens: boolean
  emptyCompletion: boolean
  /** A turn of the assistant had to be found by its content. */
  unstableTemplate: boolean
}

/** Before truncation. */
export type EncodeResult = (EncodedRow & { notes: RowNotes }) | { problem: string; template: boolean }

/** Rows that a supervised run has no use for, and whose they are. */
const unsupervised = {
  preference: 'this row is a preference ({chosen, rejected}), which methods like DPO, IPO, ORPO, SimPO and CPO and reward models learn from',
  unpaired: 'this row is a labelled answer ({prompt, completion, label}), which KTO and BCO learn from',
  stepwise: 'this row is a stepwise answer ({prompt, completions, labels}), which process reward models learn from',
} as const

interface Planned {
  request: EncodeRequest
  notes: RowNotes
  finish(encoded: Encoded): EncodedRow
}

/** Encodes batches of rows; their order is the caller's. */
export interface RowsEncoder {
  /** Batches that it works on at once. Default 2. */
  readonly inFlight?: number
  encode(rows: readonly SourceRow[]): Promise<EncodeResult[]>
}

export class RowEncoder implements RowsEncoder {
  readonly #context: EncodeContext
  readonly #controls: TokenTrie

  constructor(context: EncodeContext) {
    this.#context = context
    this.#controls = new TokenTrie(context.tokenizer.controlTokens)
  }

  /** One result a row, in order. Errors: FT_TEMPLATE when there is no template or it breaks its limits. */
  async encode(given: readonly SourceRow[]): Promise<EncodeResult[]> {
    const rows = given.map((source) => (source.row.kind === 'instruction' ? { ...source, row: this.#settle(source.row) } : source))
    const chats = await this.#render(rows)
    const results: EncodeResult[] = new Array<EncodeResult>(rows.length)
    const planned: { index: number; plan: Planned }[] = []
    rows.forEach(({ row }, index) => {
      const plan = this.#plan(row, chats.get(index))
      if ('request' in plan) planned.push({ index, plan })
      else results[index] = plan
    })
    const encoded = await this.#encodeAll(planned.map(({ plan }) => plan.request))
    planned.forEach(({ index, plan }, i) => {
      const one = encoded[i] as Encoded | { problem: string }
      results[index] = 'problem' in one ? { ...one, template: false } : this.#checked({ ...plan.finish(one), notes: plan.notes }, plan.request)
    })
    return results
  }

  /** An instruction is a conversation where the model has a template for one. */
  #settle(row: ParsedRow & { kind: 'instruction' }): ChatRow | PairRow {
    return this.#context.renderer === null ? row.pair : row.chat
  }

  async #render(rows: readonly SourceRow[]): Promise<Map<number, ChatResult>> {
    const indices = rows.flatMap(({ row }, index) => (row.kind === 'chat' ? [index] : []))
    if (indices.length === 0) return new Map()
    const first = rows[indices[0] as number] as SourceRow
    const { renderer, tokenizer } = this.#context
    if (renderer === null) {
      fail('FT_TEMPLATE', `${placeText(first.place)}: this row is a conversation, and the model in ${tokenizer.folder} has no chat template`, {
        remedy: 'name a Jinja template file with --chat-template, or use rows of another shape',
        details: { ...first.place },
      })
    }
    const jobs = indices.map((index) => {
      const row = (rows[index] as SourceRow).row as ChatRow
      const { turns } = learnedTurns(row, this.#context.trainOn)
      return { messages: row.messages, tools: row.tools, ...(row.exact === undefined ? {} : { exact: row.exact }), spans: turns !== null, ...(turns === null ? {} : { learned: turns, withoutEnds: !this.#context.endOfTurn }) }
    })
    try {
      const rendered = await renderer.render(jobs)
      return new Map(indices.map((index, i) => [index, rendered[i] as ChatResult]))
    } catch (error) {
      const job = error instanceof FineTuneError && typeof error.details.job === 'number' ? rows[indices[error.details.job] as number] : undefined
      if (job === undefined || !(error instanceof FineTuneError)) throw error
      return fail(error.code, `${placeText(job.place)}: ${error.message}`, { remedy: error.remedy, details: { ...job.place }, cause: error })
    }
  }

  #plan(row: ParsedRow, chat: ChatResult | undefined): Planned | EncodeResult {
    switch (row.kind) {
      case 'text':
        return this.#planText(row.text)
      case 'pair':
        return this.#planPair(row)
      case 'chat':
        return this.#planChat(row, chat as ChatResult)
      case 'tokens':
        return this.#takeTokens(row.inputIds, row.labels)
      case 'instruction':
        return this.#plan(this.#settle(row), chat)
      default:
        return { problem: `${unsupervised[row.kind]}; supervised training would imitate bad answers: keep the good ones as {prompt, completion}`, template: false }
    }
  }

  #planText(text: string): Planned {
    return {
      request: { text, trust: 'none', addSpecialTokens: true },
      notes: this.#notes({ namesControlTokens: this.#controls.find(text) !== null }),
      finish: ({ ids }) => {
        const inputIds = this.#withEnd(ids)
        return { inputIds, labels: inputIds.slice() }
      },
    }
  }

  #planPair({ prompt, completion, answers = [] }: PairRow): Planned {
    const text = prompt + completion
    const { trainOn, endOfTurn } = this.#context
    const spans: Span[] = [...(trainOn === 'last' ? [] : answers), [prompt.length, text.length]]
    return {
      request: { text, trust: 'none', addSpecialTokens: true, offsets: true },
      notes: this.#notes({ namesControlTokens: this.#controls.find(text) !== null, emptyCompletion: completion === '' }),
      finish: (encoded) => {
        const inputIds = this.#withEnd(encoded.ids)
        if (trainOn === 'all') return { inputIds, labels: inputIds.slice() }
        const labels = new Int32Array(inputIds.length).fill(ignoreLabel)
        labels.set(labelSpans(encoded.ids, encoded.offsets as Int32Array, spans, encoded))
        // What the tokenizer puts after the text, and the end, are the completion's.
        if (endOfTurn) for (let t = encoded.ids.length - encoded.suffix; t < inputIds.length; t++) labels[t] = inputIds[t] as number
        return { inputIds, labels }
      },
    }
  }

  #planChat(row: ChatRow, chat: ChatResult): Planned | EncodeResult {
    if ('problem' in chat) return { problem: chat.problem, template: true }
    const { text, protectedPositions, spans, unstable } = chat
    const { turns, inverted } = learnedTurns(row, this.#context.trainOn)
    return {
      // The template writes BOS itself where it wants one.
      request: { text, trust: protectedPositions.length === 0 ? 'all' : protectedPositions, addSpecialTokens: false, offsets: turns !== null },
      notes: this.#notes({ namesControlTokens: protectedPositions.length > 0 && this.#namesControls(row), unstableTemplate: unstable }),
      finish: (encoded) => {
        if (turns === null) return { inputIds: encoded.ids, labels: encoded.ids.slice() }
        const labels = labelSpans(encoded.ids, encoded.offsets as Int32Array, spans, encoded)
        return { inputIds: encoded.ids, labels: inverted ? labels.map((label, t) => (label === ignoreLabel ? (encoded.ids[t] as number) : ignoreLabel)) : labels }
      },
    }
  }

  /** Not "a", which is hidden only because it could be a part of one. */
  #namesControls({ messages, tools }: ChatRow): boolean {
    return this.#controls.find(JSON.stringify([messages, tools])) !== null
  }

  #takeTokens(inputIds: Int32Array, labels: Int32Array | null): EncodeResult {
    const { vocabSize } = this.#context
    for (const [name, ids] of [['input_ids', inputIds], ['labels', labels]] as const) {
      const wrong = ids?.findIndex((id) => id >= vocabSize) ?? -1
      if (wrong >= 0) return { problem: `${name}.${wrong}: this id is not below the vocabulary's size, ${vocabSize}`, template: false }
    }
    return { inputIds, labels: labels ?? inputIds.slice(), notes: this.#notes({}) }
  }

  /** With EOS at the end, unless the tokenizer has put it there. */
  #withEnd(ids: Int32Array): Int32Array {
    const { eosTokenId } = this.#context.tokenizer
    if (eosTokenId === null || ids[ids.length - 1] === eosTokenId) return ids
    const longer = new Int32Array(ids.length + 1)
    longer.set(ids)
    longer[ids.length] = eosTokenId
    return longer
  }

  #checked(row: EncodedRow & { notes: RowNotes }, { addSpecialTokens }: EncodeRequest): EncodeResult {
    if (row.inputIds.length === 0) return { problem: 'the row has no tokens', template: false }
    const { bosTokenId } = this.#context.tokenizer
    if (!addSpecialTokens && bosTokenId !== null && row.inputIds[0] === bosTokenId && row.inputIds[1] === bosTokenId) {
      return { problem: 'the row begins with two BOS tokens: the chat template writes more than one', template: true }
    }
    return row
  }

  #notes(notes: Partial<RowNotes>): RowNotes {
    return { namesControlTokens: false, emptyCompletion: false, unstableTemplate: false, ...notes }
  }

  /** A text that cannot be encoded spoils a whole batch: then each is tried alone. */
  async #encodeAll(requests: readonly EncodeRequest[]): Promise<(Encoded | { problem: string })[]> {
    const { tokenizer } = this.#context
    try {
      return await tokenizer.encodeRequests(requests)
    } catch (error) {
      if (!isBadText(error)) throw error
    }
    const results: (Encoded | { problem: string })[] = []
    for (const request of requests) {
      try {
        results.push(...(await tokenizer.encodeRequests([request])))
      } catch (error) {
        if (!isBadText(error)) throw error
        results.push({ problem: error.message })
      }
    }
    return results
  }
}

function isBadText(error: unknown): error is FineTuneError {
  return error instanceof FineTuneError && error.code === 'FT_INVALID_ARGUMENT'
}
