// Refuses patterns of a tokenizer.json that could take endlessly long. Oniguruma gives up after ten million steps
// at one place by ending the whole process, and a search that starts again at every character cannot be stopped,
// so such a pattern must not reach it; V8's and std::regex are no better.
//
// A pattern passes when the work is linear in the text. At one place: every loop is over single characters, or
// over a group of fixed length without alternatives, and at most one loop of a sequence has something after it
// that can fail. Over all places: where a loop has something after it that can fail, another alternative takes
// the same characters whatever follows (as `\s+` does after `\s+(?!\S)`), so that they are not walked again.
// The patterns of GPT-2, GPT-4, Llama 3, Qwen, DeepSeek, Tekken and their like pass. Digits grouped in threes do
// not meet the second rule, and are in use: they pass, with a limit on the digits in a row.
// Syntax: Oniguruma's Ruby flavour, https://github.com/kkos/oniguruma/blob/master/doc/RE.

/** Choices that backtracking may have to try out, in powers of two, besides one loop. */
const choiceBits = 16
/** Bounded repetitions with more choices than this count as loops. */
const boundedChoices = 8
const maxPatternLength = 20_000
const maxDepth = 50
const digitLoop = /^(?:\((?:\?:)?)?(?:\\d|\\p\{Nd?\}|\[0-9\])(?:\{\d+\})?\)?$/

export interface PatternVerdict {
  /** Why the pattern is refused. */
  problem?: string
  /** It walks a row of digits again from each of them. */
  slowOnDigits?: boolean
}

export function checkPattern(pattern: string): PatternVerdict {
  if (pattern.length > maxPatternLength) return { problem: `it has ${pattern.length} characters` }
  try {
    const { loops, bits, walked, catches } = new PatternReader(pattern).alternatives(0)
    if (loops > 1) return { problem: 'loops that follow one another can backtrack over the same text' }
    if (bits > choiceBits) return { problem: 'it has too many optional parts in a row' }
    const again = walked.filter((loop) => !catches.includes(loop))
    if (again.some((loop) => !digitLoop.test(loop))) return { problem: 'text that a loop has walked over in vain would be walked over again from every character' }
    return { slowOnDigits: again.length > 0 }
  } catch (error) {
    if (error instanceof Unsafe) return { problem: error.message }
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
  /** What unbounded loops repeat: those that nothing follows yet, and those that something follows that can fail. */
  pending: string[]
  walked: string[]
  /** What is taken from here on, as often as it comes, whatever follows. */
  catches: string[]
}

const character: Readonly<Part> = { open: 0, openBits: 0, loops: 0, bits: 0, canFail: true, fixed: true, pending: [], walked: [], catches: [] }

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
      pending: branches.flatMap((part) => part.pending),
      walked: branches.flatMap((part) => part.walked),
      catches: branches.flatMap((part) => part.catches),
    }
  }

  #sequence(depth: number): Part {
    const total: Part = { ...character, canFail: false }
    while (this.#at < this.pattern.length && !this.#sees('|') && !this.#sees(')')) {
      const begin = this.#at
      const body = this.#atom(depth)
      append(total, this.#quantified(body, this.pattern.slice(begin, this.#at)))
    }
    return total
  }

  /** @param source the text of the body */
  #quantified(body: Part, source: string): Part {
    const quantifier = this.#quantifier()
    if (quantifier === null) return body
    if (this.#quantifier() !== null) throw new Unsafe('a quantifier follows a quantifier')
    const { min, max, possessive } = quantifier
    const part: Part = { ...body, canFail: body.canFail && min > 0, fixed: body.fixed && min === max, catches: [] }
    if (max <= 1) {
      if (min < max && !possessive) part.openBits += 1
      return part
    }
    if (!body.fixed) throw new Unsafe('a group that is repeated contains alternatives or repetitions')
    if (max - min >= boundedChoices) {
      part.pending = [...body.pending, source]
      if (min <= 1 && max === Infinity) part.catches = [source]
    }
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
    if (one === '*' || one === '+' || one === '?') throw new Unsafe('a quantifier without anything to repeat')
    return character
  }

  #group(depth: number): Part {
    const opener = /\?(?:#[^)]*|[-imsx]*[:)]|=|!|<=|<!|>|<[A-Za-z_]\w*>)/y
    opener.lastIndex = this.#at
    const kind = this.#sees('?') ? opener.exec(this.pattern)?.[0] : ''
    if (kind === undefined) throw new Unsafe(`the group "(${this.pattern.slice(this.#at, this.#at + 3)}" is not supported`)
    this.#at += kind.length
    if (kind.startsWith('?#')) return this.#close({ ...character, canFail: false })
    if (/^\?[-imsx]*x/.test(kind)) throw new Unsafe('extended patterns (?x) are not supported')
    // (?i) holds to the end of the enclosing group, and takes its alternatives with it.
    if (kind.endsWith(')')) return this.alternatives(depth + 1)
    const body = this.#close(this.alternatives(depth + 1))
    const looksAround = /^\?(?:=|!|<=|<!)$/.test(kind)
    // Once left, an atomic group is not entered again; what looks around is walked at every place.
    if (looksAround) return { ...body, open: 0, openBits: 0, canFail: true, fixed: false, pending: [], walked: [...body.walked, ...body.pending], catches: [] }
    return kind === '?>' ? { ...body, open: 0, openBits: 0 } : body
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
      if (one === ']' && !first) return character
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
    return character
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

/** Adds what comes next to a sequence. */
function append(total: Part, next: Part): void {
  // What is open now is entered again when this part, or one after it, fails.
  if (next.canFail) {
    total.loops += total.open
    total.bits += total.openBits
    total.open = total.openBits = 0
    total.walked = [...total.walked, ...total.pending]
    total.pending = []
  }
  // A part that takes something only counts where nothing before it can fail, and nothing after it.
  total.catches = total.canFail ? (next.canFail ? [] : total.catches) : [...(next.canFail ? [] : total.catches), ...next.catches]
  total.loops += next.loops
  total.bits += next.bits
  total.open += next.open
  total.openBits += next.openBits
  total.pending = [...total.pending, ...next.pending]
  total.walked = [...total.walked, ...next.walked]
  total.canFail ||= next.canFail
  total.fixed &&= next.fixed
}
