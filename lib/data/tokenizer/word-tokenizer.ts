// Encoding by words (words.ts) as a request asks for it: with added tokens where they are meant, offsets, and what the
// post-processor puts around. What comes out is what the library gives for the whole text.
import { mayMatch, type Encoded, type EncodeRequest } from './engine.js'
import type { GuardedTokenizer } from './guard.js'
import { TokenTrie } from './trie.js'
import { isPlain, WordCutter, type Cut, type Part, type Word } from './words.js'

/** Ids that the post-processor puts before and after any text. */
export interface Around {
  prefix: readonly number[]
  suffix: readonly number[]
}

export const nothingAround: Around = { prefix: [], suffix: [] }

/** null: this tokenizer cuts text in a way that is not known here, or takes long for some texts. */
export function openWords(guarded: GuardedTokenizer, around: Around, encodeWords: (words: string[]) => Promise<Word[]>): WordTokenizer | null {
  return guarded.words === null || guarded.slowOnDigits ? null : new WordTokenizer(guarded, around, new WordCutter(guarded.words, encodeWords))
}

export class WordTokenizer {
  readonly #around: Around
  readonly #cutter: WordCutter
  /** Every added token: a longer one that is not special hides a control token inside it. */
  readonly #added: TokenTrie
  /** The control tokens among them. */
  readonly #controls: readonly (Word | undefined)[]
  /** The added tokens that are not special, which the library finds in any text. */
  readonly #plain: TokenTrie
  readonly #plainWords: readonly Word[]

  constructor({ added, controls, expected }: GuardedTokenizer, around: Around, cutter: WordCutter) {
    this.#around = around
    this.#cutter = cutter
    const controlWords = new Map(controls.map((control) => [control.content, tokenWord(control.id, control.content)]))
    this.#added = new TokenTrie(added.map((token) => token.content))
    this.#controls = added.map((token) => controlWords.get(token.content))
    const plain = added.filter((token) => !token.special)
    this.#plain = new TokenTrie(plain.map((token) => token.content))
    this.#plainWords = plain.map((token) => tokenWord(expected.get(token.content) as number, token.content))
  }

  /** One result a request; null: the library must. */
  async encode(requests: readonly EncodeRequest[]): Promise<(Encoded | null)[]> {
    const cuts = await this.#cutter.cut(requests.map((request) => (isPlain(request.text) ? this.#parts(request) : null)))
    return cuts.map((cut, index) => (cut === null ? null : this.#join(requests[index] as EncodeRequest, cut)))
  }

  /** A text at its added tokens. */
  #parts({ text, trust }: EncodeRequest): Part[] {
    const parts: Part[] = []
    const between = (start: number, end: number): void => {
      let from = start
      for (const match of this.#plain.matches(text.slice(start, end))) {
        if (start + match.start > from) parts.push({ text: text.slice(from, start + match.start), start: from })
        parts.push({ word: this.#plainWords[match.token] as Word, start: start + match.start })
        from = start + match.end
      }
      if (end > from) parts.push({ text: text.slice(from, end), start: from })
    }
    let from = 0
    for (const { start, end, token } of trust === 'none' ? [] : this.#added.matches(text)) {
      const control = this.#controls[token]
      if (control === undefined || !mayMatch(trust, start, end)) continue
      between(from, start)
      parts.push({ word: control, start })
      from = end
    }
    between(from, text.length)
    return parts
  }

  /** What the library gives for the whole text. */
  #join({ addSpecialTokens, offsets: wanted }: EncodeRequest, { words, starts, tokens }: Cut): Encoded {
    const { prefix, suffix } = addSpecialTokens ? this.#around : nothingAround
    const ids = new Int32Array(prefix.length + tokens + suffix.length)
    const offsets = wanted ? new Int32Array(2 * ids.length) : undefined
    ids.set(prefix)
    let at = prefix.length
    for (let w = 0; w < words.length; w++) {
      const word = words[w] as Word
      const start = starts[w] as number
      for (let i = 0; i < word.ids.length; i++, at++) {
        ids[at] = word.ids[i] as number
        if (offsets === undefined) continue
        offsets[2 * at] = start + (word.offsets[2 * i] as number)
        offsets[2 * at + 1] = start + (word.offsets[2 * i + 1] as number)
      }
    }
    ids.set(suffix, at)
    return { ids, prefix: prefix.length, suffix: suffix.length, ...(offsets === undefined ? {} : { offsets }) }
  }
}

function tokenWord(id: number, content: string): Word {
  return { ids: [id], offsets: [0, content.length] }
}
