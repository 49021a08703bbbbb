// The Jinja library's values made to behave as Python's where chat templates notice: how they are printed, strip with characters
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
  printAsPython(Text)
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

interface RuntimeNode {
  type: string
}

interface RuntimeInterpreter {
  evaluate(node: RuntimeNode, environment: unknown): RuntimeValue
  evaluateBlock(nodes: readonly RuntimeNode[], environment: unknown): RuntimeText
}

export interface RuntimeValue {
  type: string
  value: unknown
  toString(): string
}

/** `{{ none }}` is None, `{{ true }}` True, and a list or a map is written as Python writes it; the library writes nothing, true, and JSON. */
function printAsPython(Text: TextClass): void {
  const prototype = Interpreter.prototype as unknown as RuntimeInterpreter
  prototype.evaluateBlock = function (this: RuntimeInterpreter, nodes, environment) {
    let text = ''
    for (const node of nodes) {
      const value = this.evaluate(node, environment)
      // What a statement like {% set %} gives is no value to print.
      if (value.type === 'NullValue') text += printed.test(node.type) ? 'None' : ''
      else if (value.type !== 'UndefinedValue') text += value.type !== 'StringValue' && value.type in written ? reprValue(value) : value.toString()
    }
    return new Text(text)
  }
}

const printed = /(?:Literal|Identifier|Expression|Ternary)$/

const written: Readonly<Record<string, (value: RuntimeValue) => string>> = {
  NullValue: () => 'None',
  BooleanValue: ({ value }) => (value === true ? 'True' : 'False'),
  StringValue: ({ value }) => quoted(String(value)),
  TupleValue: ({ value }) => `(${(value as RuntimeValue[]).map(reprValue).join(', ')}${(value as unknown[]).length === 1 ? ',' : ''})`,
  ArrayValue: ({ value }) => `[${(value as RuntimeValue[]).map(reprValue).join(', ')}]`,
  ObjectValue: ({ value }) => `{${[...(value as Map<unknown, RuntimeValue>)].map(([key, item]) => `${typeof key === 'string' ? quoted(key) : String(key)}: ${reprValue(item)}`).join(', ')}}`,
}

/** str() of a value. */
export function printValue(value: RuntimeValue): string {
  if (value.type === 'UndefinedValue') return ''
  return value.type !== 'StringValue' && value.type in written ? reprValue(value) : value.toString()
}

/** repr() of a value. */
export function reprValue(value: RuntimeValue): string {
  return (written[value.type] ?? String)(value)
}

/** As Python's repr(), for text without exotic characters that cannot be printed. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', [quote]: `\\${quote}` }
  const inside = text.replaceAll(/[\\\n\r\t'"]/g, (one) => escapes[one] ?? one)
  return `${quote}${inside.replaceAll(/[\0-\x1f\x7f-\xa0\xad]/g, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`)}${quote}`
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
