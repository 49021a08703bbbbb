// Finds added tokens in text: leftmost, and of those that begin at one place the longest, as tokenizers does.

interface Node {
  next: Map<number, Node>
  /** Index of the token that ends here, or -1. */
  token: number
}

export interface Match {
  /** UTF-16 offsets. */
  start: number
  end: number
  token: number
}

export class TokenTrie {
  readonly #root: Node = { next: new Map(), token: -1 }
  readonly #lengths: number[] = []
  /** Whether a token begins with this ASCII character: most characters of a text are done with that. */
  readonly #begins = new Uint8Array(128)

  constructor(contents: readonly string[]) {
    contents.forEach((content, index) => {
      let node = this.#root
      for (let i = 0; i < content.length; i++) {
        const code = content.charCodeAt(i)
        let next = node.next.get(code)
        if (next === undefined) node.next.set(code, (next = { next: new Map(), token: -1 }))
        node = next
      }
      const first = content.charCodeAt(0)
      if (first < 128) this.#begins[first] = 1
      if (content.length > 0 && node.token < 0) node.token = index
      this.#lengths.push(content.length)
    })
  }

  /** The next match at or after `from`, or null. */
  find(text: string, from = 0): Match | null {
    for (let start = from; start < text.length; start++) {
      const code = text.charCodeAt(start)
      if (code < 128 ? this.#begins[code] === 0 : !this.#root.next.has(code)) continue
      const token = this.at(text, start)
      if (token >= 0) return { start, end: start + (this.#lengths[token] as number), token }
    }
    return null
  }

  /** Index of the longest token that begins exactly here, or -1. */
  at(text: string, start: number): number {
    let node: Node | undefined = this.#root
    let longest = -1
    for (let i = start; node !== undefined; i++) {
      if (node.token >= 0) longest = node.token
      node = i < text.length ? node.next.get(text.charCodeAt(i)) : undefined
    }
    return longest
  }

  *matches(text: string): Generator<Match> {
    for (let match = this.find(text); match !== null; match = this.find(text, match.end)) yield match
  }
}
