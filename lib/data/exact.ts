// What JavaScript's values lose of a JSON text and Python's keep: 1.0 is no 1, whole numbers beyond 2^53 have all their digits, and names
// like "10" stay where they stand. Values stay plain; what they lose is remembered beside them, and goes with a conversation
// to its template. Rows whose lists and objects hold no whole numbers and no such names cost no look at their text.

/** Of one object or list in a conversation. Plain data: JSON holds it. */
export interface ExactNote {
  /** Names and indices that lead there. */
  path: readonly (string | number)[]
  /** Its names in the order of the text, where JavaScript has another. */
  names?: readonly string[]
  /** Members that are numbers, as they are written. */
  numbers?: readonly (readonly [string | number, string])[]
}

interface Kept {
  names?: readonly string[]
  numbers?: Map<string | number, string>
}

/** By object or list. */
const kept = new WeakMap<object, Kept>()
/** Nothing to look for before the first. */
let any = false

/**
 * Numbers that may be others in Python: of 16 digits or more; with an exponent; with a fraction of zeros, or one that rounding may make
 * whole. Texts may hold what looks like one.
 */
const oddNumber = /[[:,]\s*-?(?:\d{16}|\d{10,}\.|\d+\.(?:0+\s*[,\]}]|0{6}|9{6})|\d+(?:\.\d+)?[eE])/
/** Deeper values are no conversation, and the parser calls itself. */
const maxDepth = 512

/** JSON.parse for what may become a conversation or its tools, or for rows that have such columns. Throws what it throws. */
export function parseExact(text: string): unknown {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) return value
  const found = { whole: false, index: false }
  if (Array.isArray(value)) lookInto(value, found, 0)
  // Numbers in a row, and lists of nothing else, are no conversation.
  else for (const column of Object.values(value)) if (typeof column === 'object' && column !== null && !(Array.isArray(column) && typeof column[0] === 'number')) lookInto(column as object, found, 0)
  return found.index || (found.whole && oddNumber.test(text)) ? (new ExactParser(text).parse() ?? value) : value
}

/** Whether there are numbers that may be odd, and names that JavaScript puts first. */
function lookInto(node: object, found: { whole: boolean; index: boolean }, depth: number): void {
  if (depth > maxDepth) return
  const names = Array.isArray(node) ? null : Object.keys(node)
  if (names !== null && names.length > 1 && /^\d/.test(names[0] as string)) found.index = true
  for (const item of (names === null ? node : Object.values(node)) as unknown[]) {
    if (typeof item === 'number') found.whole ||= Number.isInteger(item) || !Number.isFinite(item)
    else if (typeof item === 'object' && item !== null) lookInto(item, found, depth + 1)
  }
}

/** A copy with the same members keeps what its original has. */
export function keepExact<T extends object>(copy: T, original: object): T {
  const one = any ? kept.get(original) : undefined
  if (one !== undefined) kept.set(copy, one)
  return copy
}

/** What is remembered of a value and of all inside it, outer ones first. */
export function exactNotes(value: unknown): ExactNote[] {
  if (!any) return []
  const notes: ExactNote[] = []
  const walk = (node: unknown, path: readonly (string | number)[]): void => {
    if (typeof node !== 'object' || node === null || path.length > maxDepth) return
    const one = kept.get(node)
    const note = one === undefined ? null : noteOf(one, node as Readonly<Record<string, unknown>>, path)
    if (note !== null) notes.push(note)
    if (Array.isArray(node)) node.forEach((item, i) => walk(item, [...path, i]))
    else for (const [name, item] of Object.entries(node)) walk(item, [...path, name])
  }
  walk(value, [])
  return notes
}

/** A program's filter may have changed the value since. null: nothing is left to say. */
function noteOf({ names, numbers }: Kept, node: Readonly<Record<string, unknown>>, path: ExactNote['path']): ExactNote | null {
  const same = [...(numbers ?? [])].filter(([name, literal]) => Object.is(node[name], Number(literal)))
  if (names === undefined && same.length === 0) return null
  return { path, ...(names === undefined ? {} : { names: names.filter((name) => Object.hasOwn(node, name)) }), ...(same.length === 0 ? {} : { numbers: same }) }
}

/** Of text that JSON.parse has read. */
class ExactParser {
  #at = 0

  constructor(readonly text: string) {}

  /** undefined: it is nested too deeply. */
  parse(): unknown {
    return this.#value(0)[0]
  }

  /** The value, and how it is written where that matters. */
  #value(depth: number): readonly [unknown, string?] {
    if (depth > maxDepth) return [undefined]
    this.#space()
    switch (this.text[this.#at]) {
      case '{':
        return [this.#object(depth)]
      case '[':
        return [this.#list(depth)]
      case '"':
        return [this.#string()]
      default:
        return this.#word()
    }
  }

  #object(depth: number): unknown {
    const members: Record<string, unknown> = {}
    const names = new Set<string>()
    const numbers = new Map<string | number, string>()
    this.#at++
    while (!this.#ends('}')) {
      this.#space()
      const name = this.#string()
      this.#space()
      this.#at++
      const [value, literal] = this.#value(depth + 1)
      if (value === undefined) return undefined
      // Not by assignment, which has a meaning of its own for "__proto__".
      Object.defineProperty(members, name, { value, writable: true, enumerable: true, configurable: true })
      names.add(name)
      if (literal === undefined) numbers.delete(name)
      else numbers.set(name, literal)
    }
    const written = [...names]
    const sorted = Object.keys(members)
    return remember(members, numbers, written.some((name, i) => name !== sorted[i]) ? written : undefined)
  }

  #list(depth: number): unknown {
    const items: unknown[] = []
    const numbers = new Map<string | number, string>()
    this.#at++
    while (!this.#ends(']')) {
      const [value, literal] = this.#value(depth + 1)
      if (value === undefined) return undefined
      if (literal !== undefined) numbers.set(items.length, literal)
      items.push(value)
    }
    return remember(items, numbers)
  }

  /** Passes over a comma, or the end. */
  #ends(close: string): boolean {
    this.#space()
    const character = this.text[this.#at]
    if (character === close || character === ',') this.#at++
    return character === close
  }

  #string(): string {
    const begin = this.#at
    let end = this.text.indexOf('"', begin + 1)
    let escapes = false
    for (let slash = this.text.indexOf('\\', begin); slash >= 0 && slash < end; slash = this.text.indexOf('\\', slash + 2)) {
      escapes = true
      if (slash + 1 >= end) end = this.text.indexOf('"', slash + 2)
    }
    this.#at = end + 1
    return escapes ? (JSON.parse(this.text.slice(begin, end + 1)) as string) : this.text.slice(begin + 1, end)
  }

  #word(): readonly [unknown, string?] {
    wordPattern.lastIndex = this.#at
    const word = wordPattern.exec(this.text)?.[0] ?? ''
    this.#at += word.length
    const value = JSON.parse(word) as unknown
    return typeof value === 'number' && isOdd(word, value) ? [value, word] : [value]
  }

  #space(): void {
    while (' \t\r\n'.includes(this.text[this.#at] ?? '-')) this.#at++
  }
}

const wordPattern = /[-+.\w]+/y

/** A whole number that is written as none or that JavaScript cannot hold; one that is beyond all. */
function isOdd(literal: string, value: number): boolean {
  if (!/[.eE]/.test(literal)) return !Number.isSafeInteger(value)
  return Number.isInteger(value) || !Number.isFinite(value)
}

function remember<T extends object>(value: T, numbers: Map<string | number, string>, names?: readonly string[]): T {
  if (numbers.size === 0 && names === undefined) return value
  any = true
  kept.set(value, { ...(numbers.size === 0 ? {} : { numbers }), ...(names === undefined ? {} : { names }) })
  return value
}
