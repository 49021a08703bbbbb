// text % values, and the filter format, as Python's printf-style formatting has them. Runs in the worker.
// https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting
import { floatText } from './python-numbers.js'
import { printValue, reprValue } from './python-strings.js'
import type { Value } from './runtime.js'

const conversion = /%(?:\(([^)]*)\))?([-#0 +]*)(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?(.)?/gsu
const mostWidth = 1 << 16

/** Errors: TypeError where Python has one. */
export function formatText(text: string, given: Value): string {
  const values = given.type === 'TupleValue' ? [...(given.value as Value[])] : [given]
  const named = given.type === 'ObjectValue' ? (given.value as Map<string, Value>) : null
  let taken = 0
  const next = (): Value => {
    const value = values[taken++]
    if (value === undefined) throw new TypeError('not enough arguments for format string')
    return value
  }
  const size = (written: string | undefined): number | null => {
    if (written === undefined) return null
    const length = written === '*' ? Number(next().value) : Number(written)
    if (!(Math.abs(length) <= mostWidth)) throw new RangeError('the width or precision of a format is too large')
    return length
  }
  const result = text.replaceAll(conversion, (whole, name: string | undefined, flags: string, width: string | undefined, precision: string | undefined, type: string | undefined) => {
    if (type === undefined) throw new TypeError('incomplete format')
    if (type === '%') return '%'
    const least = size(width) ?? 0
    const digits = whole.includes('.', name === undefined ? 0 : name.length + 2) ? (size(precision) ?? 0) : null
    const value = name === undefined ? next() : named?.get(name)
    if (value === undefined) throw new TypeError(`format requires ${named === null ? 'a mapping' : 'a name that is there'}`)
    return pad(convert(type, value, digits, flags), least, flags, type)
  })
  if (named === null && taken < values.length) throw new TypeError('not all arguments converted during string formatting')
  return result
}

function convert(type: string, value: Value, digits: number | null, flags: string): string {
  switch (type) {
    case 's':
      return cut(printValue(value), digits)
    case 'r':
    case 'a':
      return cut(reprValue(value), digits)
    case 'c':
      return value.type === 'StringValue' ? String(value.value) : String.fromCodePoint(Number(value.value))
    case 'd':
    case 'i':
    case 'u':
      return signed(wholeOf(value, type), (size) => String(size).padStart(digits ?? 0, '0'), flags)
    case 'x':
    case 'X':
    case 'o':
      return signed(wholeOf(value, type), (size) => based(size, type, flags).padStart(digits ?? 0, '0'), flags)
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
      return realText(type, numberOf(value), digits ?? 6, flags)
    default:
      throw new TypeError(`unsupported format character '${type}'`)
  }
}

function cut(text: string, digits: number | null): string {
  return digits === null ? text : [...text].slice(0, digits).join('')
}

function based(size: bigint, type: string, flags: string): string {
  const text = size.toString(type === 'o' ? 8 : 16)
  const written = flags.includes('#') ? `0${type.toLowerCase()}${text}` : text
  return type === 'X' ? written.toUpperCase() : written
}

function wholeOf(value: Value, type: string): bigint {
  const real = value.type === 'FloatValue'
  if ((real && type !== 'd' && type !== 'i' && type !== 'u') || !(real || value.type === 'IntegerValue' || value.type === 'BooleanValue')) throw new TypeError(`%${type} format: a whole number is required`)
  return BigInt(real ? Math.trunc(value.value as number) : (value.value as number | bigint | boolean))
}

function numberOf(value: Value): number {
  if (value.type !== 'FloatValue' && value.type !== 'IntegerValue' && value.type !== 'BooleanValue') throw new TypeError('must be a real number')
  return Number(value.value)
}

function signed(value: bigint, text: (size: bigint) => string, flags: string): string {
  return (value < 0n ? '-' : plus(flags)) + text(value < 0n ? -value : value)
}

function plus(flags: string): string {
  return flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : ''
}

function realText(type: string, value: number, digits: number, flags: string): string {
  if (digits > 100) throw new RangeError('the precision of a format is too large')
  const sign = value < 0 || Object.is(value, -0) ? '-' : plus(flags)
  const size = Math.abs(value)
  const kind = type.toLowerCase()
  const text = !Number.isFinite(size) ? floatText(size) : kind === 'f' ? fixed(size, digits) : kind === 'e' ? exponential(size, digits) : general(size, Math.max(1, digits))
  return sign + (type === kind ? text : text.toUpperCase())
}

/** toFixed gives up at 1e21; such numbers are whole. */
export function fixed(size: number, digits: number): string {
  if (size >= 1e21) return BigInt(size).toString() + (digits > 0 ? `.${'0'.repeat(digits)}` : '')
  return halfEven(digits, (more) => size.toFixed(more))
}

function exponential(size: number, digits: number): string {
  const [, power] = size.toExponential(digits).split('e') as [string, string]
  const text = halfEven(digits, (more) => size.toExponential(more).split('e')[0] as string)
  return `${text}e${power.replace(/^([+-])(\d)$/, '$10$2')}`
}

/** A number halfway between two goes to the even one; JavaScript takes the larger. */
function halfEven(digits: number, write: (digits: number) => string): string {
  const beyond = 25
  if (digits + beyond > 100) return write(digits)
  const exact = write(digits + beyond)
  const kept = exact.slice(0, -beyond)
  const halfway = exact.slice(-beyond) === `5${'0'.repeat(beyond - 1)}`
  return halfway && /[02468]\.?$/.test(kept) ? kept.replace(/\.$/, '') : write(digits)
}

function general(size: number, digits: number): string {
  const power = size === 0 ? 0 : Number(size.toExponential(digits - 1).split('e')[1])
  const text = power < -4 || power >= digits ? exponential(size, digits - 1) : fixed(size, digits - 1 - power)
  return text.includes('.') ? text.replace(/\.?0+(?=e|$)/, '') : text
}

function pad(text: string, width: number, flags: string, type: string): string {
  const length = [...text].length
  const least = Math.abs(width)
  if (length >= least) return text
  if (width < 0 || flags.includes('-')) return text + ' '.repeat(least - length)
  if (!flags.includes('0') || 'srac'.includes(type) || !/\d/.test(text)) return ' '.repeat(least - length) + text
  const head = /^[-+ ]?(?:0[xo])?/i.exec(text)?.[0] ?? ''
  return head + '0'.repeat(least - length) + text.slice(head.length)
}
