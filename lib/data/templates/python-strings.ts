// The Jinja library's texts made to behave as Python's where chat templates notice: strip with characters
// (content.lstrip('\n') must keep indentation), Python's whitespace, capitalize. Runs in the worker.
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'

interface RuntimeText {
  value: string
  builtins: Map<string, unknown>
}

type TextClass = new (value: string) => RuntimeText
type FunctionClass = new (call: (args: RuntimeText[]) => RuntimeText) => unknown

/** str.isspace() of Python; JavaScript's trim() takes U+FEFF and leaves U+001C to U+001F and U+0085. */
const isSpace = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/

export function strip(text: string, characters: string | null, side: 'left' | 'right' | 'both'): string {
  const set = characters === null ? null : new Set(characters)
  const goes = (one: string): boolean => (set === null ? isSpace.test(one) : set.has(one))
  let begin = 0
  let end = text.length
  if (side !== 'right') while (begin < end && goes(characterAt(text, begin))) begin += characterAt(text, begin).length
  if (side !== 'left') while (end > begin && goes(characterBefore(text, end))) end -= characterBefore(text, end).length
  return text.slice(begin, end)
}

function characterAt(text: string, i: number): string {
  return String.fromCodePoint(text.codePointAt(i) as number)
}

function characterBefore(text: string, end: number): string {
  const pair = end >= 2 ? (text.codePointAt(end - 2) as number) : 0
  return pair > 0xffff ? String.fromCodePoint(pair) : (text[end - 1] as string)
}

let patched = false

/** Once a process; the library does not export its classes, so they are taken from values it makes. */
export function usePythonStrings(): void {
  if (patched) return
  patched = true
  const sample = new Interpreter(new Environment()).run(parse(tokenize("{{ 'x' }}"))) as unknown as RuntimeText
  const Text = sample.constructor as TextClass
  const Function = (sample.builtins.get('upper') as object).constructor as FunctionClass
  const original = Object.getOwnPropertyDescriptor(Text.prototype, 'builtins')?.get
  if (original === undefined) throw new Error('the Jinja library has changed: its texts have no builtins')
  const done = new WeakSet<object>()
  Object.defineProperty(Text.prototype, 'builtins', {
    configurable: true,
    get(this: RuntimeText) {
      const table = original.call(this) as Map<string, unknown>
      if (done.has(table)) return table
      done.add(table)
      for (const [name, side] of [['strip', 'both'], ['lstrip', 'left'], ['rstrip', 'right']] as const) {
        table.set(name, new Function(([characters]) => new Text(strip(this.value, typeof characters?.value === 'string' ? characters.value : null, side))))
      }
      table.set('capitalize', new Function(() => new Text(characterCase(this.value))))
      return table
    },
  })
}

function characterCase(text: string): string {
  const first = text === '' ? '' : characterAt(text, 0)
  return first.toUpperCase() + text.slice(first.length).toLowerCase()
}

/** The trim filter of the library calls String's own methods: of this process, they are made Python's too. */
export function replaceTrim(): void {
  const methods = { trim: 'both', trimStart: 'left', trimEnd: 'right' } as const
  for (const [name, side] of Object.entries(methods)) {
    Object.defineProperty(String.prototype, name, {
      configurable: true,
      writable: true,
      value: function (this: string) {
        return strip(String(this), null, side)
      },
    })
  }
}
