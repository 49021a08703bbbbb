// The filter tojson as transformers defines it: json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False).
// Runs in the worker.
import { floatText } from './python-numbers.js'
import type { Value } from './runtime.js'

const parameters = ['ensure_ascii', 'indent', 'separators', 'sort_keys'] as const

interface Style {
  ascii: boolean
  /** What one level is indented by; null: all is one line. */
  indent: string | null
  item: string
  name: string
  sorted: boolean
}

/** Errors: TypeError where json.dumps has one. */
export function toJson(value: Value, positional: readonly Value[], named: ReadonlyMap<string, Value>): string {
  const given = new Map([...parameters.flatMap((name, i): [string, Value][] => (positional[i] === undefined ? [] : [[name, positional[i]]])), ...named])
  const unknown = [...given.keys()].find((name) => !(parameters as readonly string[]).includes(name))
  if (unknown !== undefined || positional.length > parameters.length) throw new TypeError(`tojson() has no argument ${unknown ?? `number ${positional.length}`}`)
  const truth = (name: string): boolean => given.get(name)?.__bool__().value === true
  const indent = indentOf(given.get('indent'))
  const separators = given.get('separators')
  const [item, name] = isList(separators) ? separators.value.map(({ value: text }) => String(text)) : [indent === null ? ', ' : ',', ': ']
  return write(value, { ascii: truth('ensure_ascii'), indent, item: item ?? ', ', name: name ?? ': ', sorted: truth('sort_keys') }, '\n')
}

function indentOf(indent: Value | undefined): string | null {
  if (indent === undefined || indent.type === 'NullValue') return null
  return indent.type === 'StringValue' ? String(indent.value) : ' '.repeat(Math.max(0, Number(indent.value)))
}

function isList(value: Value | undefined): value is Value & { value: Value[] } {
  return value !== undefined && Array.isArray(value.value)
}

/** @param line the line end and the indent of where the value stands */
function write(value: Value, style: Style, line: string): string {
  switch (value.type) {
    case 'NullValue':
      return 'null'
    case 'BooleanValue':
    case 'IntegerValue':
      return String(value.value)
    case 'FloatValue':
      return floatText(value.value as number).replace('inf', 'Infinity').replace('nan', 'NaN')
    case 'StringValue':
      return quoted(value.value as string, style)
    case 'ArrayValue':
    case 'TupleValue':
      return around('[', ']', (value.value as Value[]).map((item) => write(item, style, line + (style.indent ?? ''))), style, line)
    case 'ObjectValue': {
      const members = [...(value.value as Map<string, Value>)]
      if (style.sorted) members.sort(([a], [b]) => compareText(a, b))
      return around('{', '}', members.map(([name, item]) => quoted(String(name), style) + style.name + write(item, style, line + (style.indent ?? ''))), style, line)
    }
    default:
      throw new TypeError(`${value.type === 'UndefinedValue' ? 'what is undefined' : value.type} cannot be written as JSON`)
  }
}

function around(open: string, close: string, items: readonly string[], { indent, item }: Style, line: string): string {
  if (items.length === 0) return open + close
  if (indent === null) return open + items.join(item) + close
  const inner = line + indent
  return open + inner + items.join(item + inner) + line + close
}

function quoted(text: string, { ascii }: Style): string {
  const json = JSON.stringify(text)
  return ascii ? json.replaceAll(/[\x7f-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`) : json
}

/** By code points. */
function compareText(a: string, b: string): number {
  const [left, right] = [[...a], [...b]]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = ((left[i] as string).codePointAt(0) as number) - ((right[i] as string).codePointAt(0) as number)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}
