// Where and why a text is not JSON, without quoting it: JSON.parse's own messages repeat the row's content.
// RFC 8259, as JSON.parse reads it. Called only after JSON.parse has refused the text.

export interface JsonFault {
  /** UTF-16 offset of the fault. */
  index: number
  reason: string
}

const maxDepth = 512
const numberPattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const plainCharacters = /[^"\\\u0000-\u001f]*/y

class Fault extends Error {
  constructor(readonly index: number, readonly reason: string) {
    super(reason)
  }
}

export function findJsonFault(text: string): JsonFault {
  const scanner = new Scanner(text)
  try {
    scanner.value(0)
    scanner.space()
    if (scanner.at < text.length) throw new Fault(scanner.at, 'something follows the end of the value')
  } catch (error) {
    if (error instanceof Fault) return { index: error.index, reason: error.reason }
    throw error
  }
  return { index: 0, reason: 'it cannot be read' }
}

class Scanner {
  at = 0

  constructor(readonly text: string) {}

  space(): void {
    while (this.at < this.text.length && ' \t\r\n'.includes(this.text[this.at] as string)) this.at++
  }

  value(depth: number): void {
    if (depth > maxDepth) throw new Fault(this.at, 'nested too deeply')
    this.space()
    const character = this.text[this.at]
    if (character === undefined) throw new Fault(this.at, 'the line ends where a value is expected')
    if (character === '{') return this.object(depth)
    if (character === '[') return this.array(depth)
    if (character === '"') return this.string()
    for (const word of ['true', 'false', 'null']) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length
        return
      }
    }
    this.number()
  }

  object(depth: number): void {
    this.at++
    this.space()
    if (this.take('}')) return
    do {
      this.space()
      if (this.text[this.at] !== '"') this.stop('a name in double quotes is expected')
      this.string()
      this.space()
      if (!this.take(':')) this.stop('":" is expected')
      this.value(depth + 1)
      this.space()
    } while (this.take(','))
    if (!this.take('}')) this.stop('"," or "}" is expected')
  }

  array(depth: number): void {
    this.at++
    this.space()
    if (this.take(']')) return
    do {
      this.value(depth + 1)
      this.space()
    } while (this.take(','))
    if (!this.take(']')) this.stop('"," or "]" is expected')
  }

  string(): void {
    const start = this.at++
    for (;;) {
      plainCharacters.lastIndex = this.at
      plainCharacters.exec(this.text)
      this.at = plainCharacters.lastIndex
      const character = this.text[this.at]
      if (character === undefined) throw new Fault(start, 'a text in double quotes is not closed')
      if (this.take('"')) return
      if (character !== '\\') this.stop('a control character inside a text is not escaped')
      this.escape()
    }
  }

  escape(): void {
    const rest = this.text.slice(this.at, this.at + 6)
    const match = /^\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(rest)
    if (match === null) this.stop('unknown escape after "\\"')
    else this.at += match[0].length
  }

  number(): void {
    numberPattern.lastIndex = this.at
    const match = numberPattern.exec(this.text)
    if (match === null || match[0].length === 0) this.stop('a value is expected')
    else this.at += match[0].length
  }

  take(character: string): boolean {
    if (this.text[this.at] !== character) return false
    this.at++
    return true
  }

  stop(reason: string): never {
    throw new Fault(this.at, this.at >= this.text.length ? 'the text ends inside a value' : reason)
  }
}
