// The values of the Jinja library, as far as this folder changes what it does with them. It does not export its classes: they are taken
// from values that it makes. Runs in the worker.
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'

export interface Value {
  type: string
  value: unknown
  __bool__(): { value: boolean }
  toString(): string
}

export interface Node {
  type: string
  value?: unknown
  operator?: { value: string }
  left?: Node
  right?: Node
  iterable?: Node
  lhs?: Node
  callee?: { type: string; value: string }
  args?: Node[]
  argument?: Node
}

export type Test = (...values: Value[]) => boolean

export interface Scope {
  parent?: Scope
  variables: Map<string, Value>
  setVariable(name: string, value: Value): void
  tests: Map<string, Test>
}

export interface Machine {
  evaluate(node: Node, scope: Scope): Value
  evaluateArguments(args: readonly Node[], scope: Scope): [Value[], Map<string, Value>]
  evaluateBinaryExpression(node: Node, scope: Scope): Value
  evaluateFor(node: Node, scope: Scope): Value
  applyFilter(operand: Value, filter: Node, scope: Scope): Value
}

export type Make = new (value: unknown) => Value

export interface Makers {
  text: Make
  list: Make
  tuple: Make
  map: Make
  callable: Make
  truth: Make
  none: Make
  whole: Make
  real: Make
}

let made: Makers | null = null

export function makers(): Makers {
  if (made !== null) return made
  const machine = new Interpreter(new Environment()) as unknown as Machine
  const classOf = (expression: string): Make => {
    const [node] = (parse(tokenize(`{{ ${expression} }}`)) as unknown as { body: Node[] }).body
    return machine.evaluate(node as Node, new Environment()).constructor as Make
  }
  made = { text: classOf("'x'"), list: classOf('[1]'), tuple: classOf('(1, 2)'), map: classOf("{'x': 1}"), callable: classOf("'x'.upper"), truth: classOf('1 == 1'), none: classOf("{}.get('x')"), whole: classOf('1'), real: classOf('1.5') }
  return made
}
