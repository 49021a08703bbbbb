// Keeps data from forming control tokens in a rendered conversation, without tracing every character through
// the template: text of data that could become (part of) a control token gets a private-use character for
// one of its own, the template runs, and the character is put back, now known not to be the template's.
// Lengths stay the same, and a template sees its data unchanged except for those characters.
import { ExactNumber } from './exact-values.js'
import { TokenTrie } from '../tokenizer/trie.js'

/** Values and names that templates compare with, and that no one can attack with. */
const vocabulary = new Set([
  'system', 'user', 'assistant', 'tool', 'developer', 'function', 'ipython', 'model', 'human', 'gpt', 'observation', 'environment',
  'role', 'content', 'type', 'text', 'name', 'id', 'tool_calls', 'tool_call_id', 'arguments', 'parameters', 'properties', 'required',
  'description', 'reasoning_content', 'thinking', 'enum', 'items', 'image', 'image_url', 'object', 'string', 'number', 'integer', 'boolean', 'array',
])
const wordLike = new Set(['role', 'type'])

/** Finds what in a text of data could become a control token. */
export class ControlFinder {
  readonly #trie: TokenTrie
  readonly #tokens: readonly string[]
  readonly #beginnings = new Set<string>()
  readonly #endings = new Set<string>()
  readonly #longest: number

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens
    this.#trie = new TokenTrie(tokens)
    this.#longest = Math.max(1, ...tokens.map((token) => token.length))
    for (const token of tokens) {
      for (let cut = 1; cut < token.length; cut++) {
        this.#beginnings.add(token.slice(0, cut))
        this.#endings.add(token.slice(cut))
      }
    }
  }

  /** Positions of the first characters of control tokens; hiding these leaves none. */
  occurrences(text: string): number[] {
    const found: number[] = []
    for (let match = this.#trie.find(text); match !== null; match = this.#trie.find(text, match.start + widthAt(text, match.start))) found.push(match.start)
    return found
  }

  /** Positions that must be hidden so that the text cannot complete a control token with what stands beside it. */
  fragments(text: string): number[] {
    const found = new Set<number>()
    const begin = text.length - text.trimStart().length
    const end = text.trimEnd().length
    for (const [from, to] of [[0, text.length], [begin, end]] as const) {
      if (from >= to) continue
      for (let length = Math.min(this.#longest - 1, to - from); length > 0; length--) {
        if (this.#beginnings.has(text.slice(to - length, to))) found.add(lastCharacter(text, to))
        if (this.#endings.has(text.slice(from, from + length))) found.add(from)
      }
      if (to - from < this.#longest && this.#tokens.some((token) => token.includes(text.slice(from, to)))) found.add(from)
    }
    return [...found].sort((a, b) => a - b)
  }

  /** The control token that begins here, as its length; 0: none. */
  lengthAt(text: string, position: number): number {
    const token = this.#trie.at(text, position)
    return token < 0 ? 0 : (this.#tokens[token] as string).length
  }
}

function widthAt(text: string, i: number): number {
  return (text.codePointAt(i) as number) > 0xffff ? 2 : 1
}

function lastCharacter(text: string, end: number): number {
  return end >= 2 && (text.codePointAt(end - 2) as number) > 0xffff ? end - 2 : end - 1
}

/** Private-use characters that occur nowhere in a conversation, each standing for a character of its data. */
export class Disguise {
  readonly #used: Set<string>
  readonly #standIns = new Map<string, string>()
  readonly #originals = new Map<string, string>()
  #nextShort = 0xe000
  #nextLong = 0xf0000

  constructor(texts: Iterable<string>) {
    this.#used = new Set()
    for (const text of texts) for (const one of text.match(/[\ue000-\uf8ff\u{f0000}-\u{ffffd}]/gu) ?? []) this.#used.add(one)
  }

  /** A character that occurs nowhere, for marks of the renderer's own. */
  unused(): string {
    while (this.#used.has(String.fromCharCode(this.#nextShort))) this.#nextShort++
    if (this.#nextShort > 0xf8ff) throw new Error('the conversation uses every private-use character')
    return String.fromCharCode(this.#nextShort++)
  }

  hide(text: string, positions: readonly number[]): string {
    if (positions.length === 0) return text
    const parts: string[] = []
    let from = 0
    for (const position of positions) {
      const original = String.fromCodePoint(text.codePointAt(position) as number)
      parts.push(text.slice(from, position), this.#standInFor(original))
      from = position + original.length
    }
    return parts.join('') + text.slice(from)
  }

  /** The text with every character back, and where the hidden ones are. */
  reveal(text: string): { text: string; positions: number[] } {
    if (this.#originals.size === 0) return { text, positions: [] }
    const positions: number[] = []
    const revealed = text.replace(/[\ue000-\uf8ff\u{f0000}-\u{ffffd}]/gu, (one, at: number) => {
      const original = this.#originals.get(one)
      if (original === undefined) return one
      for (let i = 0; i < one.length; i++) positions.push(at + i)
      return original
    })
    return { text: revealed, positions }
  }

  #standInFor(original: string): string {
    const known = this.#standIns.get(original)
    if (known !== undefined) return known
    const standIn = original.length === 1 ? this.unused() : this.#unusedPair()
    this.#standIns.set(original, standIn)
    this.#originals.set(standIn, original)
    return standIn
  }

  #unusedPair(): string {
    while (this.#used.has(String.fromCodePoint(this.#nextLong))) this.#nextLong++
    return String.fromCodePoint(this.#nextLong++)
  }
}

/** Replaces every text in a JSON value, names of fields too. `number` counts the texts in order. */
export function mapTexts<T>(value: T, change: (text: string, number: number) => string): T {
  let number = 0
  const walk = (node: unknown, key: string | null): unknown => {
    if (typeof node === 'string') return key !== null && wordLike.has(key) && vocabulary.has(node) ? node : change(node, number++)
    if (Array.isArray(node)) return node.map((item) => walk(item, null))
    if (typeof node !== 'object' || node === null || node instanceof ExactNumber) return node
    const member = ([name, item]: [string, unknown]): [string, unknown] => [vocabulary.has(name) ? name : change(name, number++), walk(item, name)]
    return node instanceof Map ? new Map([...(node as Map<string, unknown>)].map(member)) : Object.fromEntries(Object.entries(node).map(member))
  }
  return walk(value, null) as T
}
