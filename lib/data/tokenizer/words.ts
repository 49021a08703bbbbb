// Words that were met before need not be tokenized again. Byte-level tokenizers cut a text into words with one of a few
// regular expressions and tokenize each word on its own, so that the ids of a text are those of its words. The library does
// that too, but an Encoding with texts and offsets of every token costs several times what looking up a word costs.
// Only for characters whose classes have never changed, so that both sides cut alike; everything else is left to the library.
import type { TokenizerJson } from './tokenizer-json.js'

/**
 * Latin with its signs, U+0085 and the long s left out (one engine calls the first white space, the other folds the second
 * to s), dashes, quotes and dots, the euro. All of it is its own NFC form.
 */
const plainText = /^[\0-\x84\x86-\u017e\u2010-\u2027\u20ac]*$/
const L = 'A-Za-z\\xaa\\xb5\\xba\\xc0-\\xd6\\xd8-\\xf6\\xf8-\\u017e'
const N = '0-9\\xb2\\xb3\\xb9\\xbc-\\xbe'
const contractions = "'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])"
const tail = (numbers: string): RegExp =>
  new RegExp(`${contractions}|[^\\r\\n${L}${N}]?[${L}]+|${numbers}| ?[^\\s${L}${N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`, 'g')

const gpt2 = new RegExp(`'(?:s|t|re|ve|m|ll|d)| ?[${L}]+| ?[${N}]+| ?[^\\s${L}${N}]+|\\s+(?!\\S)|\\s+`, 'g')
/** The same after every digit was cut out: a piece ends before one. */
const gpt2Digits = new RegExp(`'(?:s|t|re|ve|m|ll|d)| ?[${L}]+|[${N}]| ?[^\\s${L}${N}]+|\\s+(?![^\\s${N}])|\\s+`, 'g')
/** The expressions as tokenizer.json files have them → the same over plainText. */
const patterns: Readonly<Record<string, RegExp>> = {
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+": gpt2,
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": tail(`[${N}]{1,3}`),
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": tail(`[${N}]`),
}

/** How this tokenizer cuts plain text into words; null: otherwise than is known here. */
export function wordPattern({ normalizer, pre_tokenizer: cutter, added_tokens: added }: TokenizerJson): RegExp | null {
  const composes = normalizer === null || normalizer === undefined || Reflect.get(normalizer, 'type') === 'NFC'
  // Added tokens that look at what is beside them, or that are looked for in two rounds.
  const ordinary = added.every((token) => !token.lstrip && !token.rstrip && !token.single_word)
  const rounds = new Set(added.flatMap((token) => (token.special ? [] : [token.normalized])))
  return composes && ordinary && rounds.size < 2 ? cutterPattern(cutter) : null
}

interface Cutter {
  type?: string
  add_prefix_space?: boolean
  use_regex?: boolean
  pretokenizers?: Cutter[]
  pattern?: { Regex?: string }
  behavior?: string
  individual_digits?: boolean
  invert?: boolean
}

function cutterPattern(given: unknown): RegExp | null {
  const cutter = (given ?? {}) as Cutter
  if (isByteLevel(cutter)) return cutter.use_regex === false ? null : gpt2
  const [split, bytes, ...more] = cutter.type === 'Sequence' ? (cutter.pretokenizers ?? []) : []
  if (split === undefined || bytes === undefined || more.length > 0 || !isByteLevel(bytes)) return null
  if (split.type === 'Digits' && split.individual_digits === true) return bytes.use_regex === false ? null : gpt2Digits
  if (bytes.use_regex !== false) return null
  const isolates = split.type === 'Split' && split.behavior === 'Isolated' && split.invert !== true
  const pattern = split.pattern?.Regex
  return isolates && pattern !== undefined && Object.hasOwn(patterns, pattern) ? (patterns[pattern] as RegExp) : null
}

function isByteLevel(cutter: Cutter): boolean {
  return cutter.type === 'ByteLevel' && cutter.add_prefix_space === false
}

export interface Word {
  ids: readonly number[]
  /** Of each id, from the word's begin: [begin0, end0, begin1, …] */
  offsets: readonly number[]
}

/** A part of a text: words, or an added token as a whole. */
export type Part = { text: string; start: number } | { word: Word; start: number }

/** Words with their places in the text, in order. */
export interface Cut {
  words: Word[]
  starts: number[]
  tokens: number
}

export function isPlain(text: string): boolean {
  return plainText.test(text)
}

/** New words of one call: a text that has more is left to the library. Fewer where words rarely come again (base64, hashes). */
const newWords = { most: 2000, least: 50 }
/** Shares of the words of a call that are new: above the first fewer are taken the next time, below the second more. */
const strange = 0.4
const familiar = 0.2
/** Words of two generations are kept: one that is met again moves to the younger. */
const generationWords = 1 << 15
const longestKept = 64

export class WordCutter {
  readonly #pattern: RegExp
  readonly #encode: (words: string[]) => Promise<Word[]>
  #young = new Map<string, Word>()
  #old = new Map<string, Word>()
  #newWords = newWords.most

  /** @param encode tokenizes each word as a text of its own, without special tokens */
  constructor(pattern: RegExp, encode: (words: string[]) => Promise<Word[]>) {
    this.#pattern = pattern
    this.#encode = encode
  }

  /** One result a text: its words, or null where it is left to the library. */
  async cut(texts: readonly (readonly Part[] | null)[]): Promise<(Cut | null)[]> {
    const fresh = new Map<string, { ids: readonly number[]; offsets: readonly number[] }>()
    const seen = { words: 0, fresh: 0 }
    const cuts = texts.map((parts) => (parts === null ? null : this.#look(parts, fresh, seen)))
    if (seen.fresh > strange * seen.words) this.#newWords = Math.max(newWords.least, this.#newWords >> 1)
    else if (seen.fresh < familiar * seen.words) this.#newWords = Math.min(newWords.most, this.#newWords << 1)
    if (fresh.size > 0) {
      const words = [...fresh.keys()]
      const encoded = await this.#encode(words)
      words.forEach((word, i) => {
        const entry = Object.assign(fresh.get(word) as Word, encoded[i])
        // A copy: a part of a long text would keep all of it.
        if (word.length <= longestKept) this.#keep(Buffer.from(word).toString(), entry)
      })
    }
    for (const one of cuts) if (one !== null) one.tokens = one.words.reduce((sum, { ids }) => sum + ids.length, 0)
    return cuts
  }

  #look(parts: readonly Part[], fresh: Map<string, Word>, seen: { words: number; fresh: number }): Cut | null {
    const found: Cut = { words: [], starts: [], tokens: 0 }
    const own = new Map<string, Word>()
    for (const part of parts) {
      let { start } = part
      if ('word' in part) {
        found.words.push(part.word)
        found.starts.push(start)
        continue
      }
      for (const text of part.text.match(this.#pattern) ?? []) {
        seen.words++
        let word = this.#known(text) ?? fresh.get(text) ?? own.get(text)
        if (word === undefined) {
          word = { ids: [], offsets: [] }
          own.set(text, word)
          seen.fresh++
          if (own.size + fresh.size > this.#newWords) return null
        }
        found.words.push(word)
        found.starts.push(start)
        start += text.length
      }
      if (start !== part.start + part.text.length) return null
    }
    for (const [text, word] of own) fresh.set(text, word)
    return found
  }

  #known(text: string): Word | undefined {
    const young = this.#young.get(text)
    if (young !== undefined) return young
    const old = this.#old.get(text)
    if (old !== undefined) this.#keep(text.length < 13 ? text : Buffer.from(text).toString(), old)
    return old
  }

  #keep(text: string, word: Word): void {
    if (this.#young.size >= generationWords) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(text, word)
  }
}
