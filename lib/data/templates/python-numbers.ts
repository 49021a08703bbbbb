// Numbers as Python has them, where the Jinja library computes and prints JavaScript's: whole numbers of any size, floor division and a
// remainder with the sign of the divisor, division by zero an error, 1.0 and 1e-07 printed so. Runs in the worker.
import type { Makers, Value } from './runtime.js'

const numeric = new Set(['IntegerValue', 'FloatValue', 'BooleanValue'])

export function isNumber(value: Value): boolean {
  return numeric.has(value.type)
}

type Whole = number | bigint

/** null: no operator of numbers. Errors: where Python has one. */
export function calculate(operator: string, left: Value, right: Value, make: Makers): Value | null {
  const a = plain(left)
  const b = plain(right)
  switch (operator) {
    case '<':
      return new make.truth(a < b)
    case '>':
      return new make.truth(a > b)
    case '<=':
      return new make.truth(a <= b)
    case '>=':
      return new make.truth(a >= b)
    case '/':
      return new make.real(real(operator, Number(a), Number(b)))
    case '+':
    case '-':
    case '*':
    case '//':
    case '%': {
      const isReal = left.type === 'FloatValue' || right.type === 'FloatValue'
      return isReal ? new make.real(real(operator, Number(a), Number(b))) : new make.whole(whole(operator, a, b))
    }
    default:
      return null
  }
}

function plain({ type, value }: Value): Whole {
  return type === 'BooleanValue' ? Number(value) : (value as Whole)
}

/** Numbers are equal by what they are, of whatever type. */
export function equalNumbers(a: Value, b: Value): boolean {
  const [left, right] = [plain(a), plain(b)]
  // Of a whole number and another, == compares exactly.
  return left == right // eslint-disable-line eqeqeq
}

function real(operator: string, a: number, b: number): number {
  if (b === 0 && (operator === '/' || operator === '//' || operator === '%')) throw new RangeError('division by zero')
  switch (operator) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return a / b
    case '//':
      // Not floor(a / b), which may have been rounded up.
      return Math.round((a - real('%', a, b)) / b)
    default: {
      const rest = a % b
      if (rest === 0) return b < 0 ? -0 : 0
      return rest < 0 !== b < 0 ? rest + b : rest
    }
  }
}

function whole(operator: string, a: Whole, b: Whole): Whole {
  // Exact where it is safe; -0 is no whole number.
  const quick = typeof a === 'number' && typeof b === 'number' ? real(operator, a, b) + 0 : NaN
  if (Number.isSafeInteger(quick)) return quick
  const exact = big(operator, BigInt(a), BigInt(b))
  return exact >= Number.MIN_SAFE_INTEGER && exact <= Number.MAX_SAFE_INTEGER ? Number(exact) : exact
}

function big(operator: string, a: bigint, b: bigint): bigint {
  if (b === 0n && (operator === '//' || operator === '%')) throw new RangeError('division by zero')
  switch (operator) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    default: {
      const rest = a % b
      const remainder = rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest
      return operator === '%' ? remainder : (a - remainder) / b
    }
  }
}

/** repr() of a float: the shortest digits that are it, with an exponent below 1e-4 and from 1e16 on. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf'
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const [digits, exponent] = value.toExponential().split('e') as [string, string]
  const power = Number(exponent)
  if (power < -4 || power >= 16) return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  return Number.isInteger(value) ? `${value}.0` : String(value)
}
