// tokenizer.model through the native SentencePiece library, with the added tokens, BOS and EOS that the
// configuration names, as transformers' Llama tokenizer does.
//
// The library knows one text at a time and puts a space before it. Text that follows an added token must not
// get one (unless `legacy`): it is encoded behind a character that no piece contains, whose ids are dropped.
// Control pieces ("</s>") never match in text; pieces that do (user defined) and are control tokens here are
// kept apart by the same character where they are not meant.
import { fail } from '../../core/errors/index.js'
import { native, type NativeSentencepiece } from '../../native/binding.js'
import { byteToUtf16, findLoneSurrogate } from '../text.js'
import { mayMatch, type Encoded, type EncodeRequest, type TokenizerEngine } from './engine.js'
import type { AddedToken, TokenizerFiles } from './files.js'
import { TokenTrie } from './trie.js'

type Piece = ReturnType<NativeSentencepiece['pieces']>[number]

const pieceType = { unknown: 2, control: 3, userDefined: 4 } as const
/** Long calls are cut into slices of this many characters so that the event loop stays free. */
const sliceCharacters = 1 << 16
const separatorChoices = 64

/** Errors: FT_SENTENCEPIECE_MISSING, FT_TOKENIZER. */
export function loadSentencepieceTokenizer(path: string, files: TokenizerFiles): TokenizerEngine {
  return new SentencepieceEngine(native().loadSentencepiece(path), files)
}

interface Added extends AddedToken {
  id: number
}

export class SentencepieceEngine implements TokenizerEngine {
  readonly kind = 'sentencepiece'
  readonly vocabSize: number
  readonly controls: readonly string[]
  #model: NativeSentencepiece | null
  readonly #pieces: readonly Piece[]
  readonly #added: readonly Added[]
  readonly #trie: TokenTrie
  readonly #byContent = new Map<string, Added>()
  readonly #byId = new Map<number, Added>()
  readonly #idOfPiece: ReadonlyMap<string, number>
  readonly #before: readonly number[]
  readonly #after: readonly number[]
  readonly #legacy: boolean
  /** Private-use characters that are in no piece: nothing merges with one. */
  readonly #separators: readonly string[]
  readonly #separatorIds: readonly number[]

  constructor(model: NativeSentencepiece, files: TokenizerFiles) {
    this.#model = model
    this.#pieces = model.pieces()
    this.#idOfPiece = new Map(this.#pieces.map((piece, id) => [piece.piece, id]))
    this.#added = this.#collectAdded(files)
    for (const token of this.#added) {
      this.#byContent.set(token.content, token)
      this.#byId.set(token.id, token)
    }
    this.#trie = new TokenTrie(this.#added.map((token) => token.content))
    this.controls = this.#added.filter((token) => token.special).map((token) => token.content)
    this.vocabSize = Math.max(this.#pieces.length, ...this.#added.map((token) => token.id + 1))
    this.#legacy = files.legacy
    this.#before = this.#idsOf(files.addBosToken ?? true, files.named.bos_token)
    this.#after = this.#idsOf(files.addEosToken ?? false, files.named.eos_token)
    this.#separators = this.#findSeparators()
    this.#separatorIds = [...model.encode(this.#separators[0] as string)]
  }

  async encode(requests: readonly EncodeRequest[]): Promise<Encoded[]> {
    const results: Encoded[] = []
    let since = 0
    for (const request of requests) {
      results.push(this.#encodeOne(request))
      since += request.text.length
      if (since >= sliceCharacters) {
        since = 0
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    return results
  }

  decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string> {
    let text = ''
    let run: number[] = []
    let first = true
    const flush = (): void => {
      if (run.length > 0) text += this.#decodeRun(run, first)
      first &&= run.length === 0
      run = []
    }
    for (const id of ids) {
      const token = this.#byId.get(id)
      if (token === undefined) {
        if (id >= 0 && id < this.#pieces.length) run.push(id)
        continue
      }
      flush()
      first &&= this.#legacy
      if (!(skipSpecialTokens && token.special)) text += token.content
    }
    flush()
    return Promise.resolve(text)
  }

  idOf(token: string): number | null {
    return this.#byContent.get(token)?.id ?? this.#idOfPiece.get(token) ?? null
  }

  tokenOf(id: number): string | null {
    return this.#byId.get(id)?.content ?? this.#pieces[id]?.piece ?? null
  }

  isControl(id: number): boolean {
    return this.#byId.get(id)?.special === true
  }

  dispose(): void {
    this.#model?.dispose()
    this.#model = null
  }

  #open(): NativeSentencepiece {
    return this.#model ?? fail('FT_HANDLE_DISPOSED', 'the tokenizer was disposed', { remedy: 'load it again' })
  }

  #encodeOne(request: EncodeRequest): Encoded {
    const { text, trust } = request
    const lone = findLoneSurrogate(text)
    if (lone >= 0) {
      fail('FT_INVALID_ARGUMENT', `the text has half of a surrogate pair at position ${lone}`, { remedy: 'it is not Unicode text: repair or drop it' })
    }
    const out = new Pieces()
    let from = 0
    for (const { start, end, token } of this.#trie.matches(text)) {
      const added = this.#added[token] as Added
      if (added.special && !mayMatch(trust, start, end)) continue
      const left = added.lstrip ? text.slice(from, start).trimEnd().length + from : start
      this.#encodeText(text.slice(from, left), from, out)
      const right = added.rstrip ? text.length - text.slice(end).trimStart().length : end
      out.add(added.id, left, right)
      from = Math.max(right, from)
    }
    this.#encodeText(text.slice(from), from, out)
    return this.#finish(request, out)
  }

  #finish(request: EncodeRequest, out: Pieces): Encoded {
    const before = request.addSpecialTokens ? this.#before : []
    const after = request.addSpecialTokens ? this.#after : []
    const encoded: Encoded = { ids: Int32Array.from([...before, ...out.ids, ...after]), prefix: before.length, suffix: after.length }
    const zeros = (count: number): number[] => new Array<number>(2 * count).fill(0)
    if (request.offsets) encoded.offsets = Int32Array.from([...zeros(before.length), ...out.offsets, ...zeros(after.length)])
    return encoded
  }

  /** Text between added tokens. `at` is its place in the whole text; only the text at 0 begins with a space. */
  #encodeText(text: string, at: number, out: Pieces): void {
    if (text === '') return
    // Where a control token that the model would recognise begins, the separator goes behind its first character.
    const cuts: number[] = []
    for (const { start, token } of this.#trie.matches(text)) {
      const added = this.#added[token] as Added
      if (added.special && this.#pieces[added.id]?.type === pieceType.userDefined) cuts.push(start + (added.content.codePointAt(0) as number > 0xffff ? 2 : 1))
    }
    const guarded = at > 0 && !this.#legacy
    const edges = [0, ...cuts, text.length]
    for (let i = 0; i + 1 < edges.length; i++) {
      const from = edges[i] as number
      this.#encodeSlice(text.slice(from, edges[i + 1]), at + from, guarded || i > 0, out)
    }
  }

  #encodeSlice(text: string, at: number, behindSeparator: boolean, out: Pieces): void {
    const whole = behindSeparator ? this.#separatorFor(text) + text : text
    const { ids, offsets } = this.#open().encodeWithOffsets(whole)
    const toUtf16 = byteToUtf16(whole)
    const utf16 = (byte: number): number => (toUtf16 === null ? byte : (toUtf16[byte] as number))
    const skip = whole.length - text.length
    for (let i = 0; i < ids.length; i++) {
      const begin = utf16(offsets[2 * i] as number)
      const end = utf16(offsets[2 * i + 1] as number)
      // A piece of the separator alone, or the space the library put before it.
      if (skip > 0 && end <= skip) continue
      out.add(ids[i] as number, at + Math.max(0, begin - skip), at + end - skip)
    }
  }

  /** A run of ordinary pieces; only the first text of all loses the space that encoding put before it. */
  #decodeRun(run: number[], first: boolean): string {
    const model = this.#open()
    if (first) return model.decode(Int32Array.from(run))
    const before = model.decode(Int32Array.from(this.#separatorIds))
    return model.decode(Int32Array.from([...this.#separatorIds, ...run])).slice(before.length)
  }

  #findSeparators(): string[] {
    const used = new Set(this.#pieces.flatMap(({ piece }) => [...piece]))
    for (const token of this.#added) for (const one of token.content) used.add(one)
    const free: string[] = []
    for (let code = 0xf8ff; code >= 0xe000 && free.length < separatorChoices; code--) {
      const character = String.fromCharCode(code)
      if (!used.has(character)) free.push(character)
    }
    return free.length > 0 ? free : fail('FT_TOKENIZER', 'the SentencePiece model uses every private-use character')
  }

  #separatorFor(text: string): string {
    const separator = this.#separators.find((one) => !text.includes(one))
    return separator ?? fail('FT_INVALID_ARGUMENT', 'the text has every private-use character that is needed here', { remedy: 'remove characters U+F8C0 to U+F8FF from the text' })
  }

  #idsOf(wanted: boolean, content: string | undefined): number[] {
    if (!wanted || content === undefined) return []
    const id = this.#byContent.get(content)?.id ?? this.#idOfPiece.get(content)
    return id === undefined ? [] : [id]
  }

  /** Control and unknown pieces, then what the configuration adds; ids of pieces win over its own. */
  #collectAdded(files: TokenizerFiles): Added[] {
    const found = new Map<string, Added>()
    const flags = { special: true, lstrip: false, rstrip: false, singleWord: false, normalized: false }
    this.#pieces.forEach(({ piece, type }, id) => {
      if (type === pieceType.control || type === pieceType.unknown) found.set(piece, { ...flags, content: piece, id })
    })
    const special = new Set<string>(Object.values(files.named))
    for (const { id, token } of files.added) {
      const known = this.#idOfPiece.get(token.content) ?? id
      if (known !== null) found.set(token.content, { ...token, id: known, special: token.special || special.has(token.content) })
    }
    return [...found.values()]
  }
}

class Pieces {
  readonly ids: number[] = []
  readonly offsets: number[] = []

  add(id: number, begin: number, end: number): void {
    this.ids.push(id)
    this.offsets.push(begin, end)
  }
}
