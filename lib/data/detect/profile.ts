// What the values of one column look like over a sample: enough to tell running text from identifiers, categories,
// conversations and token lists. Each text is looked at up to a limit, so a huge value costs no more than a long one.

const lookedAt = 2000
/** Different values that are remembered, to tell a category from a text. */
const remembered = 200

/** A UUID or hash, a URL, a path, a number or a date: a name of something, nothing to read. */
const identifier = /^(?:[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{24,128}|https?:\/\/\S+|(?:\.{0,2}\/)?[\w.-]+(?:\/[\w.-]+)+|[+-]?[\d.,:e+-]+|\d{4}-\d\d-\d\d[T ]?[\d:.Z+-]*)$/i
const wordBreak = /\S\s+\S/
/** Scripts that write without spaces between words. */
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]{4}/u

export type ColumnKind = 'prose' | 'short text' | 'identifiers' | 'categories' | 'numbers' | 'conversations' | 'shareGPT conversations' | 'token ids' | 'lists' | 'objects' | 'booleans' | 'empty' | 'mixed'

export class ColumnProfile {
  rows = 0
  empty = 0
  texts = 0
  numbers = 0
  booleans = 0
  lists = 0
  objects = 0
  /** Lists of {role, content}. */
  chats = 0
  /** Lists of {from, value}. */
  shareGpt = 0
  tokenLists = 0
  characters = 0
  #prose = 0
  #identifiers = 0
  readonly #values = new Set<string>()

  add(value: unknown): void {
    this.rows++
    if (value === null || value === undefined || value === '') this.empty++
    else if (typeof value === 'string') this.#addText(value)
    else if (typeof value === 'number' || typeof value === 'bigint') this.numbers++
    else if (typeof value === 'boolean') this.booleans++
    else if (Array.isArray(value) || ArrayBuffer.isView(value)) this.#addList(value as ArrayLike<unknown>)
    else this.objects++
  }

  get filled(): number {
    return this.rows - this.empty
  }

  /** Characters a text, on average over the rows that have one. */
  get meanCharacters(): number {
    return this.texts === 0 ? 0 : this.characters / this.texts
  }

  kind(): ColumnKind {
    const all = this.filled
    const mostly = (count: number): boolean => count >= 0.9 * all
    if (all === 0) return 'empty'
    if (mostly(this.chats)) return 'conversations'
    if (mostly(this.shareGpt)) return 'shareGPT conversations'
    if (mostly(this.tokenLists)) return 'token ids'
    if (mostly(this.texts)) return this.#textKind()
    if (mostly(this.numbers)) return 'numbers'
    if (mostly(this.booleans)) return 'booleans'
    if (mostly(this.lists)) return 'lists'
    return mostly(this.objects) ? 'objects' : 'mixed'
  }

  #textKind(): ColumnKind {
    if (this.#prose >= 0.5 * this.texts && !this.#isCategory()) return 'prose'
    if (this.#identifiers >= 0.5 * this.texts) return 'identifiers'
    return this.#isCategory() ? 'categories' : 'short text'
  }

  /** The same few short values again and again. */
  #isCategory(): boolean {
    return this.texts >= 20 && this.#values.size <= Math.max(2, this.texts / 10) && this.meanCharacters < 60
  }

  #addText(text: string): void {
    this.texts++
    this.characters += text.length
    if (this.#values.size < remembered) this.#values.add(text.slice(0, 80))
    const head = text.length > lookedAt ? text.slice(0, lookedAt) : text
    if (head.length <= 200 && identifier.test(head)) this.#identifiers++
    else if (wordBreak.test(head) || unspaced.test(head)) this.#prose++
  }

  #addList(list: ArrayLike<unknown>): void {
    this.lists++
    const first: unknown = list[0]
    if (typeof first === 'number') {
      for (let i = 0; i < Math.min(list.length, 64); i++) {
        const id: unknown = list[i]
        if (!Number.isInteger(id) || ((id as number) < 0 && id !== -100)) return
      }
      this.tokenLists++
    } else if (typeof first === 'object' && first !== null) {
      if (Object.hasOwn(first, 'role') && (Object.hasOwn(first, 'content') || Object.hasOwn(first, 'tool_calls'))) this.chats++
      else if (Object.hasOwn(first, 'from') && Object.hasOwn(first, 'value')) this.shareGpt++
    }
  }
}
