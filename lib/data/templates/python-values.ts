// Where the Jinja library computes otherwise than Jinja2 under Python, made to agree: texts are sequences of characters, undefined is an
// empty one, a text and something else are no sum, values of different types are not equal, and filters and tests that templates
// use and the library lacks. Runs in the worker.
import { Environment, Interpreter } from '@huggingface/jinja'
import { fixed, formatText } from './python-format.js'
import { toJson } from './python-json.js'
import { calculate, equalNumbers, floatText, isNumber } from './python-numbers.js'
import { printValue } from './python-strings.js'
import { makers, type Machine, type Makers, type Node, type Scope, type Test, type Value } from './runtime.js'

let patched = false

/** Once a process. */
export function usePythonValues(): void {
  if (patched) return
  patched = true
  const make = makers()
  const prototype = Interpreter.prototype as unknown as Machine
  patchOperators(prototype, make)
  patchLoops(prototype, make)
  patchFilters(prototype, make)
  Object.defineProperty(make.real.prototype, 'toString', { configurable: true, writable: true, value: function (this: Value) { return floatText(this.value as number) } })
  const { TESTS: tests } = Environment as unknown as { TESTS: Map<string, Test> }
  tests.set('in', (item, container) => contains(container, item))
  tests.set('sequence', (one) => one.type === 'ArrayValue' || one.type === 'TupleValue' || one.type === 'StringValue' || one.type === 'ObjectValue')
  for (const name of ['eq', 'equalto', '==']) tests.set(name, equal)
  for (const name of ['ne', '!=']) tests.set(name, (a, b) => !equal(a, b))
}

const ownOperators = new Set(['+', '~', '==', '!=', '-', '*', '/', '//', '%', '<', '>', '<=', '>='])

function patchOperators(prototype: Machine, make: Makers): void {
  const original = prototype.evaluateBinaryExpression
  prototype.evaluateBinaryExpression = function (this: Machine, node, scope) {
    const operator = node.operator?.value ?? ''
    if (!ownOperators.has(operator)) return original.call(this, node, scope)
    const left = this.evaluate(node.left as Node, scope)
    const right = this.evaluate(node.right as Node, scope)
    if (operator === '~') return new make.text(printValue(left) + printValue(right))
    if (operator === '==' || operator === '!=') return new make.truth(equal(left, right) === (operator === '=='))
    if (operator === '+' && left.type === 'StringValue' && right.type === 'StringValue') return new make.text((left.value as string) + (right.value as string))
    const calculated = isNumber(left) && isNumber(right) ? calculate(operator, left, right, make) : null
    if (calculated !== null) return calculated
    if (operator === '%' && left.type === 'StringValue') return new make.text(formatText(left.value as string, right))
    if (operator === '+' && (left.type === 'StringValue' || right.type === 'StringValue')) throw new TypeError(`can only concatenate a text with a text, not ${left.type === 'StringValue' ? right.type : left.type}`)
    // Both were evaluated: the library gets their values and not the expressions again.
    const inner = new (Environment as unknown as new (parent: Scope) => Scope)(scope)
    inner.setVariable('ft_left', left)
    inner.setVariable('ft_right', right)
    return original.call(this, { ...node, left: { type: 'Identifier', value: 'ft_left' }, right: { type: 'Identifier', value: 'ft_right' } }, inner)
  }
}

/** The library iterates over lists and maps alone; it says so before anything of the loop has run. */
function patchLoops(prototype: Machine, make: Makers): void {
  const original = prototype.evaluateFor
  prototype.evaluateFor = function (this: Machine, node, scope) {
    try {
      return original.call(this, node, scope)
    } catch (error) {
      if (!(error instanceof Error) || !/^Expected iterable or object type in for loop: got (?:StringValue|UndefinedValue|TupleValue)$/.test(error.message)) throw error
    }
    const selects = node.iterable?.type === 'SelectExpression'
    const source = (selects ? node.iterable?.lhs : node.iterable) as Node
    const items = itemsOf(this.evaluate(source, scope), make)
    // Not of this loop, but of one inside it.
    if (items === null) return original.call(this, node, scope)
    const inner = new (Environment as unknown as new (parent: Scope) => Scope)(scope)
    inner.setVariable('ft_items', new make.list(items))
    const named: Node = { type: 'Identifier', value: 'ft_items' }
    return original.call(this, { ...node, iterable: selects ? { ...(node.iterable as Node), lhs: named } : named }, inner)
  }
}

/** What a for loop or a filter goes through; null: no sequence. */
function itemsOf(value: Value, make: Makers): Value[] | null {
  switch (value.type) {
    case 'ArrayValue':
    case 'TupleValue':
      return value.value as Value[]
    case 'StringValue':
      return [...(value.value as string)].map((one) => new make.text(one))
    case 'ObjectValue':
      return [...(value.value as Map<string, Value>).keys()].map((key) => new make.text(key))
    case 'UndefinedValue':
      return []
    default:
      return null
  }
}

/** Filters that the library lacks, for some operands or for all. */
const sequenceFilters: Readonly<Record<string, (items: Value[], machine: Machine, filter: Node, scope: Scope, make: Makers) => Value | undefined>> = {
  select: (items, ...rest) => chosen(items, true, ...rest),
  reject: (items, ...rest) => chosen(items, false, ...rest),
  count: (items, _machine, _filter, _scope, make) => new make.whole(items.length),
  list: (items, _machine, _filter, _scope, make) => new make.list(items),
  sum: (items, _machine, _filter, _scope, make) => new make.whole(items.reduce((sum, { value }) => sum + Number(value), 0)),
  min: (items) => items.reduce((a, b) => (Number(b.value) < Number(a.value) ? b : a)),
  max: (items) => items.reduce((a, b) => (Number(b.value) > Number(a.value) ? b : a)),
  map: (items, machine, filter, scope, make) => {
    const [name] = filter.args ?? []
    if (name?.type !== 'StringLiteral') return undefined
    return new make.list(items.map((item) => machine.applyFilter(item, { type: 'Identifier', value: name.value }, scope)))
  },
}

/** What they are given they write out first. */
const textFilters = new Set(['trim', 'upper', 'lower', 'title', 'capitalize', 'replace', 'indent'])

function chosen(items: Value[], keep: boolean, machine: Machine, filter: Node, scope: Scope, make: Makers): Value {
  const [name, ...given] = (filter.args ?? []).map((one) => machine.evaluate(one, scope))
  const test = name === undefined ? (one: Value) => one.__bool__().value : scope.tests.get(String(name.value))
  if (test === undefined) throw new Error(`Unknown test: ${String(name?.value)}`)
  return new make.list(items.filter((item) => test(item, ...given) === keep))
}

function patchFilters(prototype: Machine, make: Makers): void {
  const original = prototype.applyFilter
  prototype.applyFilter = function (this: Machine, operand, filter, scope) {
    const name = String(filter.type === 'CallExpression' ? filter.callee?.value : filter.value)
    if (name === 'tojson' || (name === 'format' && operand.type === 'StringValue')) {
      const [given, named] = this.evaluateArguments(filter.type === 'CallExpression' ? (filter.args ?? []) : [], scope)
      if (name === 'tojson') return new make.text(toJson(operand, given, named))
      return new make.text(formatText(operand.value as string, named.size > 0 ? new make.map(named) : new make.tuple(given)))
    }
    const own = Object.hasOwn(sequenceFilters, name) ? sequenceFilters[name] : undefined
    const items = own === undefined ? null : itemsOf(operand, make)
    const result = own === undefined || items === null ? undefined : own(items, this, filter, scope, make)
    if (result !== undefined) return result
    const characters = operand.type === 'StringValue' || operand.type === 'UndefinedValue'
    if (characters && (name === 'selectattr' || name === 'rejectattr')) {
      // Characters have no attributes.
      return new make.list(name === 'selectattr' ? [] : itemsOf(operand, make))
    }
    if (operand.type === 'StringValue' && (name === 'first' || name === 'last' || name === 'reverse')) {
      const all = [...(operand.value as string)]
      return new make.text(name === 'reverse' ? all.reverse().join('') : ((name === 'first' ? all[0] : all.at(-1)) ?? ''))
    }
    if (textFilters.has(name) && operand.type !== 'StringValue') return original.call(this, new make.text(printValue(operand)), filter, scope)
    if (name === 'string' && operand.type !== 'StringValue') return new make.text(printValue(operand))
    if (name === 'round' && isNumber(operand)) {
      const [given, named] = filter.type === 'CallExpression' ? this.evaluateArguments(filter.args ?? [], scope) : [[], new Map<string, Value>()]
      return rounded(operand, Number((given[0] ?? named.get('precision'))?.value ?? 0), String((given[1] ?? named.get('method'))?.value ?? 'common'), make)
    }
    if (name === 'ft_tuple') return new make.tuple([operand])
    return original.call(this, operand, filter, scope)
  }
}

/** The filter round of Jinja2: whole numbers stay whole where the method is common. */
function rounded(operand: Value, precision: number, method: string, make: Makers): Value {
  if (!Number.isInteger(precision) || Math.abs(precision) > 100 || !['common', 'ceil', 'floor'].includes(method)) throw new TypeError('round: method must be common, ceil or floor, and the precision a whole number')
  const value = Number(operand.value)
  const scale = 10 ** precision
  if (method !== 'common') return new make.real((method === 'ceil' ? Math.ceil : Math.floor)(value * scale) / scale)
  if (operand.type !== 'FloatValue' && precision >= 0) return new make.whole(operand.type === 'BooleanValue' ? value : operand.value)
  const size = precision >= 0 ? Number(fixed(Math.abs(value), precision)) : Number(fixed(Math.abs(value) * scale, 0)) / scale
  const result = value < 0 ? -size : size
  return operand.type === 'FloatValue' ? new make.real(result) : new make.whole(result)
}

/** == of Python: numbers and truth values among themselves, lists and maps by what they hold, nothing else across types. */
function equal(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) return equalNumbers(a, b)
  if (a.type !== b.type) return false
  if (a.type === 'ArrayValue' || a.type === 'TupleValue') {
    const [left, right] = [a.value as Value[], b.value as Value[]]
    return left.length === right.length && left.every((item, i) => equal(item, right[i] as Value))
  }
  if (a.type === 'ObjectValue') {
    const [left, right] = [a.value as Map<string, Value>, b.value as Map<string, Value>]
    return left.size === right.size && [...left].every(([key, item]) => right.has(key) && equal(item, right.get(key) as Value))
  }
  return a.value === b.value
}

function contains(container: Value, item: Value): boolean {
  if (container.type === 'StringValue') return item.type === 'StringValue' && (container.value as string).includes(item.value as string)
  if (container.type === 'ObjectValue') return (container.value as Map<unknown, Value>).has(item.value)
  return container.type === 'ArrayValue' || container.type === 'TupleValue' ? (container.value as Value[]).some((one) => equal(one, item)) : false
}
