// Refuses patterns of a tokenizer.json that could backtrack without end. Oniguruma gives up after ten million
// steps by ending the whole process, so such a pattern must not reach it; V8's and std::regex are no better.
//
// A pattern passes when the work at one place is at most linear in the text: every loop is over single
// characters or over a group of fixed length without alternatives, and at most one loop of a sequence has
// something after it that can fail. The patterns of GPT-2, GPT-4, Llama 3, Qwen, DeepSeek, Tekken and their
// like pass. Syntax: Oniguruma's Ruby flavour, https://github.com/kkos/oniguruma/blob/master/doc/RE.

/** Choices that backtracking may have to try out, in powers of two, besides one loop. */
const choiceBits = 16
/** Bounded repetitions with more choices than this count as loops. */
const boundedChoices = 8
const maxPatternLength = 20_000
const maxDepth = 50

/** The reason why the pattern is refused, or null. */
export function findUnsafePattern(pattern: string): string | null {
  if (pattern.length > maxPatternLength) return `it has ${pattern.length} characters`
  try {
    const { loops, bits } = new PatternReader(pattern).alternatives(0)
    if (loops > 1) return 'loops that follow one another can backtrack over the same text'
    if (bits > choiceBits) return 'it has too many optional parts in a row'
    return null
  } catch (error) {
    if (error instanceof Unsafe) return error.message
    throw error
  }
}

class Unsafe extends Error {}

interface Part {
  /** Loops that can be entered again when something later fails. */
  open: number
  /** log2 of the bounded choices that can be entered again. */
  openBits: number
  /** Loops that are entered again because something inside follows them. */
  loops: number
  bits: number
  canFail: boolean
  /** Consumes the same number of characters whatever it matches, in one way only. */
  fixed: boolean
}

const character: Part = { open: 0, openBits: 0, loops: 0, bits: 0, canFail: true, fixed: true }
const nothing: Part = { ...character, canFail: false }

interface Quantifier {
  min: number
  max: number
  possessive: boolean
}

class PatternReader {
  #at = 0

  constructor(readonly pattern: string) {}

  /** Up to ")" or the end: alternatives are tried one after another, so the worst one counts. */
  alternatives(depth: number): Part {
    if (depth > maxDepth) throw new Unsafe('its groups are nested too deeply')
    const branches = [this.#sequence(depth)]
    while (this.#take('|')) branches.push(this.#sequence(depth))
    if (this.#at < this.pattern.length && depth === 0) throw new Unsafe('a ")" too many')
    if (branches.length === 1) return branches[0] as Part
    const most = (pick: (part: Part) => number): number => Math.max(...branches.map(pick))
    return {
      open: most((part) => part.open),
      openBits: most((part) => part.openBits) + Math.log2(branches.length),
      loops: most((part) => part.loops),
      bits: most((part) => part.bits),
      canFail: branches.every((part) => part.canFail),
      fixed: false,
    }
  }

  #sequence(depth: number): Part {
    const total: Part = { ...nothing }
    while (this.#at < this.pattern.length && !this.#sees('|') && !this.#sees(')')) {
      const part = this.#quantified(this.#atom(depth))
      // What is open now is entered again when this part, or one after it, fails.
      if (part.canFail) {
        total.loops += total.open
        total.bits += total.openBits
        total.open = total.openBits = 0
      }
      total.loops += part.loops
      total.bits += part.bits
      total.open += part.open
      total.openBits += part.openBits
      total.canFail ||= part.canFail
      total.fixed &&= part.fixed
    }
    return total
  }

  #quantified(body: Part): Part {
    const quantifier = this.#quantifier()
    if (quantifier === null) return body
    if (this.#quantifier() !== null) throw new Unsafe('a quantifier follows a quantifier')
    const { min, max, possessive } = quantifier
    const part = { ...body, canFail: body.canFail && min > 0, fixed: body.fixed && min === max }
    if (max <= 1) {
      if (min < max && !possessive) part.openBits += 1
      return part
    }
    if (!body.fixed) throw new Unsafe('a group that is repeated contains alternatives or repetitions')
    if (min < max && !possessive) {
      if (max - min >= boundedChoices) part.open += 1
      else part.openBits += Math.log2(max - min + 1)
    }
    return part
  }

  #quantifier(): Quantifier | null {
    const start = this.#at
    const simple = { '*': [0, Infinity], '+': [1, Infinity], '?': [0, 1] }[this.pattern[start] ?? '']
    if (simple !== undefined) {
      this.#at++
      const possessive = this.#take('+')
      if (!possessive) this.#take('?')
      return { min: simple[0] as number, max: simple[1] as number, possessive }
    }
    const bounded = /\{(\d{0,6})(,?)(\d{0,6})\}/y
    bounded.lastIndex = start
    const match = bounded.exec(this.pattern)
    if (match === null || (match[1] === '' && match[3] === '')) return null
    this.#at = bounded.lastIndex
    this.#take('?')
    const min = Number(match[1] ?? '0')
    const max = match[2] === '' ? min : match[3] === '' ? Infinity : Number(match[3])
    return { min, max, possessive: false }
  }

  #atom(depth: number): Part {
    if (this.#take('(')) return this.#group(depth)
    if (this.#take('[')) return this.#class(0)
    if (this.#take('\\')) return this.#escape()
    const one = this.pattern[this.#at++]
    if (one === '^' || one === '$') return { ...character }
    if (one === '*' || one === '+' || one === '?') throw new Unsafe('a quantifier without anything to repeat')
    return { ...character }
  }

  #group(depth: number): Part {
    const opener = /\?(?:#[^)]*|[-imsx]*[:)]|=|!|<=|<!|>|<[A-Za-z_]\w*>)/y
    opener.lastIndex = this.#at
    const kind = this.#sees('?') ? opener.exec(this.pattern)?.[0] : ''
    if (kind === undefined) throw new Unsafe(`the group "(${this.pattern.slice(this.#at, this.#at + 3)}" is not supported`)
    this.#at += kind.length
    if (kind.startsWith('?#')) return this.#close({ ...nothing })
    if (/^\?[-imsx]*x/.test(kind)) throw new Unsafe('extended patterns (?x) are not supported')
    // (?i) holds to the end of the enclosing group, and takes its alternatives with it.
    if (kind.endsWith(')')) return this.alternatives(depth + 1)
    const body = this.#close(this.alternatives(depth + 1))
    const looksAround = /^\?(?:=|!|<=|<!)$/.test(kind)
    if (!looksAround && kind !== '?>') return body
    // Once left, these are not entered again.
    return { ...body, open: 0, openBits: 0, canFail: looksAround || body.canFail, fixed: body.fixed && !looksAround }
  }

  #close(part: Part): Part {
    if (!this.#take(')')) throw new Unsafe('a "(" is not closed')
    return part
  }

  #class(depth: number): Part {
    if (depth > maxDepth) throw new Unsafe('its classes are nested too deeply')
    this.#take('^')
    for (let first = true; ; first = false) {
      const one = this.pattern[this.#at++]
      if (one === undefined) throw new Unsafe('a "[" is not closed')
      if (one === ']' && !first) return { ...character }
      if (one === '\\') this.#at++
      else if (one === '[') this.#nestedClass(depth)
    }
  }

  #nestedClass(depth: number): void {
    const posix = /:\^?[a-z]+:\]/y
    posix.lastIndex = this.#at
    const match = posix.exec(this.pattern)
    if (match === null) this.#class(depth + 1)
    else this.#at += match[0].length
  }

  #escape(): Part {
    const one = this.pattern[this.#at++]
    if (one === undefined) throw new Unsafe('it ends with "\\"')
    if (/[1-9kgKXR]/.test(one)) throw new Unsafe(`"\\${one}" is not supported`)
    if (/[pPxuo]/.test(one) && this.#sees('{')) {
      const end = this.pattern.indexOf('}', this.#at)
      if (end < 0) throw new Unsafe('a "{" is not closed')
      this.#at = end + 1
    }
    // Zero-width ones can fail as a character can; repeating them is pointless but harmless.
    return { ...character }
  }

  #sees(text: string): boolean {
    return this.pattern.startsWith(text, this.#at)
  }

  #take(text: string): boolean {
    if (!this.#sees(text)) return false
    this.#at += text.length
    return true
  }
}
