// Conversations with what JavaScript's values lose of their JSON (../exact.ts) put back: numbers as they are written, and objects whose
// names stand in another order as maps; and both as values of the Jinja library. Runs in the worker.
import { Environment } from '@huggingface/jinja'
import type { ExactNote } from '../exact.js'
import { numberMessages } from './marks.js'
import { makers, type Make, type Makers, type Value } from './runtime.js'

/** A number that is another one in JavaScript. */
export class ExactNumber {
  constructor(readonly literal: string) {}
}

type Container = Record<string | number, unknown>

/** Changes the value. A message stays an object, whatever the order of its names: this package looks at it by them. */
export function putBack<T extends object>(value: T, notes: readonly ExactNote[]): T {
  // Inner ones first: what they become is then a member of the outer ones.
  for (const { path, names, numbers } of [...notes].reverse()) {
    const above = path.slice(0, -1).reduce<unknown>((node, key) => (node as Container)[key], value) as Container
    const last = path.at(-1)
    if (last === undefined) continue
    const node = above[last] as Container
    for (const [name, literal] of numbers ?? []) node[name] = new ExactNumber(literal)
    if (names !== undefined && !(path.length === 2 && path[0] === 'messages')) above[last] = new Map(names.map((name) => [name, node[name]]))
  }
  return value
}

interface Settable {
  set(name: string, value: unknown): Value
  declareVariable(name: string, value: Value): Value
}

let patched = false

/** Once a process: variables of templates may hold such values, and functions of the library's own kind. */
export function useExactValues(): void {
  if (patched) return
  patched = true
  const make = makers()
  const prototype = Environment.prototype as unknown as Settable
  const original = prototype.set
  prototype.set = function (this: Settable, name, value) {
    if (typeof value !== 'object' || value === null) return original.call(this, name, value)
    if (value instanceof make.callable) return this.declareVariable(name, value)
    const made = runtimeValue(value, make)
    if (name === 'messages') numberMessages(made)
    return this.declareVariable(name, made)
  }
}

function runtimeValue(value: unknown, make: Makers): Value {
  if (typeof value === 'string') return new make.text(value)
  if (typeof value === 'boolean') return new make.truth(value)
  if (typeof value === 'number') return new (Number.isInteger(value) ? make.whole : make.real)(value)
  if (value instanceof ExactNumber) return exactValue(value.literal, make)
  if (Array.isArray(value)) return new make.list(value.map((item) => runtimeValue(item, make)))
  if (typeof value !== 'object' || value === null) return new make.none(null)
  const members = value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value)
  return new make.map(new Map(members.map(([name, item]) => [name, runtimeValue(item, make)])))
}

/** As Python's json reads it. */
function exactValue(literal: string, make: { whole: Make; real: Make }): Value {
  return /[.eE]/.test(literal) ? new make.real(Number(literal)) : new make.whole(BigInt(literal))
}
