// The tokenizer of a model folder: tokenizer.json where there is one, else tokenizer.model.
import { makeError, type FineTuneError } from '../../core/errors/index.js'
import { checkOptions, type OptionNames } from '../../core/options.js'
import type { Encoded, EncodeRequest, TokenizerEngine } from './engine.js'
import { readTokenizerFiles, type ChatTemplates, type NamedToken, type TokenizerFiles } from './files.js'
import { loadHfTokenizer } from './hf.js'
import { loadSentencepieceTokenizer } from './sentencepiece.js'
import { createStreamDecoder, type StreamDecoder } from './stream-decoder.js'

export type { Encoded, EncodeRequest, Trust } from './engine.js'
export type { ChatTemplates, NamedToken } from './files.js'
export type { StreamDecoder } from './stream-decoder.js'

export interface EncodeOptions {
  /** BOS, EOS … as the tokenizer's own post-processor adds them. Default true. */
  addSpecialTokens?: boolean
  /** true: "<|im_end|>" in the text is text, not the token. Default false; set it for data and user input. */
  untrusted?: boolean
}

const encodeNames: OptionNames<EncodeOptions> = { addSpecialTokens: true, untrusted: true }

export interface TextTokenizer {
  readonly kind: TokenizerEngine['kind']
  readonly folder: string
  /** Highest id + 1. */
  readonly vocabSize: number
  /** Of the folder's config.json: how many ids the model has embeddings for; undefined where it does not say. */
  readonly modelVocabSize: number | undefined
  readonly bosTokenId: number | null
  readonly eosTokenId: number | null
  readonly padTokenId: number | null
  /** Ids that end a generation: generation_config.json, else config.json, and the tokenizer's EOS. */
  readonly stopTokenIds: readonly number[]
  /** bos_token, eos_token … as templates see them. */
  readonly namedTokens: Readonly<Partial<Record<NamedToken, string>>>
  /** Texts of the tokens that text never becomes when it is untrusted. */
  readonly controlTokens: readonly string[]
  /** The template for conversations; undefined where the model has none. */
  readonly chatTemplate: string | undefined
  readonly chatTemplates: ChatTemplates
  /** Files to copy beside a saved model; absolute paths. */
  readonly files: readonly string[]

  encode(text: string, options?: EncodeOptions): Promise<Int32Array>
  encodeBatch(texts: readonly string[], options?: EncodeOptions): Promise<Int32Array[]>
  /** offsets: UTF-16 [begin0, end0, begin1, …]; 0, 0 for tokens that are not in the text. */
  encodeWithOffsets(text: string, options?: EncodeOptions): Promise<{ ids: Int32Array; offsets: Int32Array }>
  /** The general form: one say in trust for every text. */
  encodeRequests(requests: readonly EncodeRequest[]): Promise<Encoded[]>
  decode(ids: Iterable<number>, options?: { skipSpecialTokens?: boolean }): Promise<string>
  /** For text that is shown while it is generated. */
  streamDecoder(options?: { skipSpecialTokens?: boolean; before?: Iterable<number> }): StreamDecoder
  tokenToId(token: string): number | null
  idToToken(id: number): string | null
  isSpecial(id: number): boolean
  dispose(): void
}

/**
 * `optional`: a folder without a tokenizer gives one that fails with FT_TOKENIZER_MISSING when text needs it;
 * rows that are tokens already can be trained on without.
 * Errors: FT_TOKENIZER_MISSING, FT_TOKENIZER, FT_SENTENCEPIECE_MISSING.
 */
export async function loadTokenizer(folder: string, options: { optional?: boolean } = {}): Promise<TextTokenizer> {
  checkOptions('loadTokenizer', options, { optional: true })
  const files = await readTokenizerFiles(folder)
  if (files.missing !== undefined && !options.optional) throw missingTokenizer(folder, files.missing)
  const tokenizer = createTextTokenizer(await loadEngine(files), files)
  if (tokenizer.kind === 'tokenizer.json') openAgain.add(tokenizer)
  return tokenizer
}

const openAgain = new WeakSet<TextTokenizer>()

/** Another thread that loads its folder has the same tokenizer. */
export function canOpenAgain(tokenizer: TextTokenizer): boolean {
  return openAgain.has(tokenizer)
}

/** Of what a program passed in its place: the name of a folder, say. */
export function isTokenizer(value: unknown): value is TextTokenizer {
  return typeof (value as Partial<TextTokenizer> | null | undefined)?.encodeRequests === 'function'
}

async function loadEngine(files: TokenizerFiles): Promise<TokenizerEngine> {
  if (files.tokenizerJson !== undefined) return await loadHfTokenizer(files.tokenizerJson, files)
  return files.sentencepieceModel === undefined ? absentEngine(files) : loadSentencepieceTokenizer(files.sentencepieceModel, files)
}

function absentEngine(files: TokenizerFiles): TokenizerEngine {
  const refuse = (): Promise<never> => Promise.reject(missingTokenizer(files.folder, files.missing ?? 'it has none'))
  return {
    kind: 'none',
    vocabSize: files.modelVocabSize ?? 0,
    controls: [],
    encode: (requests) => (requests.length === 0 ? Promise.resolve([]) : refuse()),
    decode: refuse,
    idOf: () => null,
    tokenOf: () => null,
    isControl: () => false,
    dispose: () => undefined,
  }
}

function missingTokenizer(folder: string, why: string): FineTuneError {
  return makeError('FT_TOKENIZER_MISSING', `no tokenizer in ${folder}: ${why}`, {
    remedy: 'put tokenizer.json (or tokenizer.model) of this model there; transformers writes it with save_pretrained',
    details: { folder },
  })
}

export function createTextTokenizer(engine: TokenizerEngine, files: TokenizerFiles): TextTokenizer {
  const idOf = (name: NamedToken): number | null => {
    const content = files.named[name]
    return content === undefined ? null : engine.idOf(content)
  }
  const eosTokenId = idOf('eos_token') ?? files.generationEosIds[0] ?? null
  const requestsOf = (call: string, texts: readonly string[], options: EncodeOptions = {}, offsets = false): EncodeRequest[] => {
    checkOptions(call, options, encodeNames)
    return texts.map((text) => ({ text, trust: options.untrusted ? 'none' : 'all', addSpecialTokens: options.addSpecialTokens ?? true, offsets }))
  }
  return {
    kind: engine.kind,
    folder: files.folder,
    vocabSize: engine.vocabSize,
    modelVocabSize: files.modelVocabSize,
    bosTokenId: idOf('bos_token'),
    eosTokenId,
    padTokenId: idOf('pad_token'),
    stopTokenIds: [...new Set([...files.generationEosIds, ...(eosTokenId === null ? [] : [eosTokenId])])],
    namedTokens: files.named,
    controlTokens: engine.controls,
    chatTemplate: files.templates.default,
    chatTemplates: files.templates,
    files: files.all,

    async encode(text, options) {
      const [encoded] = await engine.encode(requestsOf('encode', [text], options))
      return (encoded as Encoded).ids
    },
    async encodeBatch(texts, options) {
      const encoded = await engine.encode(requestsOf('encodeBatch', texts, options))
      return encoded.map((one) => one.ids)
    },
    async encodeWithOffsets(text, options) {
      const [encoded] = await engine.encode(requestsOf('encodeWithOffsets', [text], options, true))
      const { ids, offsets } = encoded as Encoded
      return { ids, offsets: offsets as Int32Array }
    },
    encodeRequests: (requests) => engine.encode(requests),
    async decode(ids, options = {}) {
      checkOptions('decode', options, { skipSpecialTokens: true })
      return await engine.decode([...ids], options.skipSpecialTokens ?? false)
    },
    streamDecoder(options = {}) {
      checkOptions('streamDecoder', options, { skipSpecialTokens: true, before: true })
      return createStreamDecoder(engine, { ...options, before: [...(options.before ?? [])] })
    },
    tokenToId: (token) => engine.idOf(token),
    idToToken: (id) => engine.tokenOf(id),
    isSpecial: (id) => engine.isControl(id),
    dispose: () => engine.dispose(),
  }
}
