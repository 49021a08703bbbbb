// tokenizer.json through the Rust library of Hugging Face, guarded: see guard.ts for how trust works.
import { createRequire } from 'node:module'
import type * as tokenizers from 'tokenizers'
import { fail, FineTuneError, makeError } from '../../core/errors/index.js'
import { codePointToUtf16, findLoneSurrogate } from '../text.js'
import { mayMatch, type Encoded, type EncodeRequest, type TokenizerEngine, type Trust } from './engine.js'
import { readText, type TokenizerFiles } from './files.js'
import { guardTokenizer, type ControlToken, type GuardedTokenizer } from './guard.js'
import { readTokenizerJson } from './tokenizer-json.js'
import { TokenTrie } from './trie.js'
import { nothingAround, openWords, type Around, type WordTokenizer } from './word-tokenizer.js'
import type { Word } from './words.js'

/** The library cannot be interrupted; a call that takes twice as long as this and 1 s for each 50 kB is given up. */
const patienceMs = 2_500
const charactersPerMs = 50
/** Where a pattern walks a row of digits again from each of them: some seconds' worth. */
const tooManyDigits = /\p{N}{5000}/u
const markerCharacters = /[\u{100000}-\u{10ffff}]/u

export async function loadHfTokenizer(path: string, files: TokenizerFiles): Promise<TokenizerEngine> {
  const source = await readText(path)
  const guarded = guardTokenizer(path, source, readTokenizerJson(path, source), files)
  // The library is loaded with the first tokenizer: it costs time and memory.
  const library = createRequire(import.meta.url)('tokenizers') as typeof tokenizers
  let tokenizer: tokenizers.Tokenizer
  try {
    tokenizer = library.Tokenizer.fromString(guarded.json)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return fail('FT_TOKENIZER', `${path} cannot be used: ${hideMarkers(reason)}`, {
      remedy: 'the file is damaged, or of a kind that is not supported: download it again',
      details: { path },
      cause: error,
    })
  }
  for (const [name, id] of guarded.expected) {
    const given = tokenizer.tokenToId(name)
    if (given !== id) {
      const shown = guarded.controls.find((control) => control.marker === name)?.content ?? name
      fail('FT_TOKENIZER', `${path} says that "${shown}" is token ${id}, but its place makes it ${given ?? 'none'}`, {
        remedy: 'added tokens must follow the vocabulary without gaps: save the tokenizer again with transformers',
        details: { path, token: shown, expected: id, got: given },
      })
    }
  }
  const around = await findAround(tokenizer).catch((error: unknown) => {
    throw failure(path, 'encode', error)
  })
  return new HfEngine(path, tokenizer, guarded, around)
}

function failure(path: string, action: string, error: unknown): FineTuneError {
  if (error instanceof FineTuneError) return error
  const reason = error instanceof Error ? error.message : String(error)
  return makeError('FT_TOKENIZER', `${path} cannot ${action}: ${hideMarkers(reason)}`, {
    remedy: 'the file is damaged, or does not suit this text: download it again',
    details: { path },
    cause: error,
  })
}

function hideMarkers(message: string): string {
  return message.replace(/[\u{100000}-\u{10ffff}]+/gu, '(special token)')
}

class HfEngine implements TokenizerEngine {
  readonly kind = 'tokenizer.json'
  readonly vocabSize: number
  readonly controls: readonly string[]
  readonly #path: string
  #tokenizer: tokenizers.Tokenizer | null
  readonly #around: Around
  readonly #byContent: ReadonlyMap<string, ControlToken>
  readonly #byId: ReadonlyMap<number, ControlToken>
  readonly #tokens: readonly ControlToken[]
  /** Every added token: a longer one that is not special hides a control token inside it. */
  readonly #added: TokenTrie
  readonly #addedControls: readonly (ControlToken | undefined)[]
  readonly #markers: TokenTrie
  readonly #slowOnDigits: boolean
  readonly #words: WordTokenizer | null
  /** Tokens that the library matches only under conditions: whether it did is looked up afterwards. */
  readonly #conditional: boolean

  constructor(path: string, tokenizer: tokenizers.Tokenizer, guarded: GuardedTokenizer, around: Around) {
    this.#path = path
    this.#around = around
    this.#tokenizer = tokenizer
    this.#tokens = guarded.controls
    this.vocabSize = guarded.vocabSize
    this.controls = guarded.controls.map((control) => control.content)
    this.#byContent = new Map(guarded.controls.map((control) => [control.content, control]))
    this.#byId = new Map(guarded.controls.map((control) => [control.id, control]))
    this.#added = new TokenTrie(guarded.added.map((token) => token.content))
    this.#addedControls = guarded.added.map((token) => this.#byContent.get(token.content))
    this.#markers = new TokenTrie(guarded.controls.map((control) => control.marker))
    this.#slowOnDigits = guarded.slowOnDigits
    this.#words = openWords(guarded, around, (words) => this.#encodeWords(words))
    this.#conditional = guarded.controls.some((control) => control.normalized || control.singleWord)
  }

  async encode(requests: readonly EncodeRequest[]): Promise<Encoded[]> {
    const results: Encoded[] = new Array<Encoded>(requests.length)
    this.#open()
    const fromWords = (await this.#words?.encode(requests)) ?? []
    fromWords.forEach((encoded, index) => {
      if (encoded !== null) results[index] = encoded
    })
    for (const addSpecialTokens of [true, false]) {
      const group = requests.flatMap((request, index) => (request.addSpecialTokens === addSpecialTokens && results[index] === undefined ? [index] : []))
      if (group.length === 0) continue
      const marked = group.map((index) => this.#mark(requests[index] as EncodeRequest))
      const encodings = await this.#encodeBatch(marked.map((mark) => mark.text), addSpecialTokens)
      for (const [i, index] of group.entries()) {
        const request = requests[index] as EncodeRequest
        const encoding = await this.#settle(request, marked[i] as Marked, encodings[i] as tokenizers.Encoding)
        results[index] = this.#convert(request, encoding)
      }
    }
    return results
  }

  async #encodeWords(words: string[]): Promise<Word[]> {
    const encodings = await this.#encodeBatch(words, false)
    return encodings.map((encoding) => ({ ids: encoding.getIds(), offsets: encoding.getOffsets().flat() }))
  }

  async decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string> {
    if (ids.length === 0) return ''
    const text = await this.#open().decode(ids as number[], skipSpecialTokens).catch((error: unknown) => {
      throw failure(this.#path, 'decode', error)
    })
    if (!markerCharacters.test(text)) return text
    let result = ''
    let from = 0
    for (const match of this.#markers.matches(text)) {
      result += text.slice(from, match.start) + (this.#tokens[match.token] as ControlToken).content
      from = match.end
    }
    return result + text.slice(from)
  }

  idOf(token: string): number | null {
    return this.#byContent.get(token)?.id ?? this.#open().tokenToId(token)
  }

  tokenOf(id: number): string | null {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) return null
    return this.#byId.get(id)?.content ?? this.#open().idToToken(id)
  }

  isControl(id: number): boolean {
    return this.#byId.has(id)
  }

  dispose(): void {
    this.#tokenizer = null
  }

  #open(): tokenizers.Tokenizer {
    return this.#tokenizer ?? fail('FT_HANDLE_DISPOSED', 'the tokenizer was disposed', { remedy: 'load it again' })
  }

  #mark(request: EncodeRequest, except?: ReadonlySet<number>): Marked {
    const { text, trust } = request
    const lone = findLoneSurrogate(text)
    if (lone >= 0) {
      fail('FT_INVALID_ARGUMENT', `the text has half of a surrogate pair at position ${lone}`, { remedy: 'it is not Unicode text: repair or drop it' })
    }
    if (markerCharacters.test(text) && this.#markers.find(text) !== null) {
      fail('FT_INVALID_ARGUMENT', 'the text has a sequence of private-use characters that stands for a control token here', {
        remedy: 'remove characters of plane 16 (U+100000 to U+10FFFF) from the text',
      })
    }
    if (this.#slowOnDigits && tooManyDigits.test(text)) {
      fail('FT_INVALID_ARGUMENT', 'the text has more than 5000 digits in a row, which this tokenizer would take too long for', { remedy: 'break the digits up' })
    }
    return trust === 'none' ? { text, places: [] } : this.#markControls(text, trust, except)
  }

  #markControls(text: string, trust: Trust, except?: ReadonlySet<number>): Marked {
    const places: Place[] = []
    let marked = ''
    let from = 0
    for (const { start, end, token } of this.#added.matches(text)) {
      const control = this.#addedControls[token]
      if (control === undefined || !mayMatch(trust, start, end) || except?.has(start)) continue
      marked += text.slice(from, start) + control.marker
      from = end
      places.push({ start, id: control.id })
    }
    return { text: marked + text.slice(from), places }
  }

  /** Encodes again without the markers that the library did not take (single_word, normalized). */
  async #settle(request: EncodeRequest, marked: Marked, encoding: tokenizers.Encoding): Promise<tokenizers.Encoding> {
    if (!this.#conditional || marked.places.length === 0) return encoding
    const ids = encoding.getIds()
    const taken = new Set<string>()
    const toUtf16 = codePointToUtf16(request.text)
    encoding.getOffsets().forEach((pair, i) => {
      const [begin] = pair as [number, number]
      taken.add(`${toUtf16 === null ? begin : toUtf16[begin]}:${ids[i]}`)
    })
    // lstrip moves a token's begin to the left, over spaces.
    const missed = marked.places.filter(({ start, id }) => {
      for (let begin = start; begin >= 0; begin--) {
        if (taken.has(`${begin}:${id}`)) return false
        if (!/\s/.test(request.text[begin - 1] ?? 'x')) return true
      }
      return true
    })
    if (missed.length === 0) return encoding
    const again = this.#mark(request, new Set(missed.map((place) => place.start)))
    return (await this.#encodeBatch([again.text], request.addSpecialTokens))[0] as tokenizers.Encoding
  }

  async #encodeBatch(texts: string[], addSpecialTokens: boolean): Promise<tokenizers.Encoding[]> {
    const size = texts.reduce((sum, text) => sum + text.length, 0)
    let timer: NodeJS.Timeout | undefined
    const limit = patienceMs + size / charactersPerMs
    const late = new Promise<never>((_, reject) => {
      const giveUp = (): void => {
        reject(makeError('FT_TOKENIZER', `${this.#path} took more than ${Math.round((2 * limit) / 1000)} s for ${size} characters`, {
          remedy: 'its patterns do not suit this text: use a tokenizer from a source you trust',
          details: { path: this.#path },
        }))
      }
      // In two halves: after the machine slept, the first may be over before the library could go on.
      timer = setTimeout(() => (timer = setTimeout(giveUp, limit)), limit)
    })
    try {
      return await Promise.race([this.#open().encodeBatch(texts, { addSpecialTokens }), late])
    } catch (error) {
      throw failure(this.#path, 'encode', error)
    } finally {
      clearTimeout(timer)
    }
  }

  #convert(request: EncodeRequest, encoding: tokenizers.Encoding): Encoded {
    const { prefix, suffix } = request.addSpecialTokens ? this.#around : nothingAround
    const encoded: Encoded = { ids: new Int32Array(encoding.getIds()), prefix: prefix.length, suffix: suffix.length }
    if (request.offsets) {
      const toUtf16 = codePointToUtf16(request.text)
      const pairs = encoding.getOffsets() as [number, number][]
      const offsets = new Int32Array(2 * pairs.length)
      for (let i = 0; i < pairs.length; i++) {
        const [begin, end] = pairs[i] as [number, number]
        offsets[2 * i] = toUtf16 === null ? begin : (toUtf16[begin] as number)
        offsets[2 * i + 1] = toUtf16 === null ? end : (toUtf16[end] as number)
      }
      encoded.offsets = offsets
    }
    return encoded
  }
}

/** What the post-processor puts around any text: told by the first text that has ids of its own. */
async function findAround(tokenizer: tokenizers.Tokenizer): Promise<Around> {
  let mask: number[] = []
  let ids: number[] = []
  for (const text of ['a', '0', 'the', '\u4e00', tokenizer.idToToken(0) ?? '', tokenizer.idToToken(3) ?? '']) {
    const encoding = await tokenizer.encode(text, null, { addSpecialTokens: true })
    mask = encoding.getSpecialTokensMask()
    ids = encoding.getIds()
    if (mask.includes(0)) break
  }
  if (!mask.includes(0)) return { prefix: ids, suffix: [] }
  return { prefix: ids.slice(0, mask.indexOf(0)), suffix: ids.slice(mask.lastIndexOf(0) + 1) }
}

interface Place {
  start: number
  id: number
}

interface Marked {
  text: string
  /** Where control tokens were replaced by markers. */
  places: Place[]
}
