// {% generation %} blocks of a template as marks in its output, each with the message that it is a part of: the one that a variable
// stands for where the block is, innermost scope first ({% for message in messages %}). Runs in the worker.
import { makers, type Scope, type Value } from './runtime.js'
import { SpanError } from './spans.js'

/** Characters that are in no conversation. Empty: no marks. */
export interface Marks {
  begin: string
  /** Between the message's number and the block. Empty: nobody asks whose blocks they are. */
  owner: string
  end: string
}

export const noMarks: Marks = { begin: '', owner: '', end: '' }

/** [begin, end) of one block. owner: the message's number; null: no variable stands for one. */
export interface MarkedSpan {
  span: [number, number]
  owner: number | null
}

/** Messages as the template has them → their numbers. */
const numbers = new WeakMap<object, number>()

export function numberMessages(messages: Value): void {
  if (Array.isArray(messages.value)) (messages.value as Value[]).forEach((message, i) => numbers.set(message, i))
}

/** The function that a block begins with. */
export function beginMark({ begin, owner }: Marks): Value {
  const { callable, text } = makers()
  return new callable((_given: Value[], scope: Scope) => new text(owner === '' ? begin : `${begin}${ownerIn(scope) ?? ''}${owner}`))
}

function ownerIn(scope: Scope | undefined): number | null {
  for (let one = scope; one !== undefined; one = one.parent) {
    // Of several in one scope the first: that of the loop, which is set before its body runs.
    for (const value of one.variables.values()) {
      const number = numbers.get(value)
      if (number !== undefined) return number
    }
  }
  return null
}

/** The text without marks, and what was marked. Errors: SpanError. */
export function takeMarks(output: string, { begin, owner, end }: Marks): { text: string; marked: MarkedSpan[] } {
  const marked: MarkedSpan[] = []
  let text = ''
  let open: { at: number; owner: number | null } | null = null
  let from = 0
  for (const mark of output.matchAll(new RegExp(`${begin}${owner === '' ? '()' : `(\\d*)${owner}`}|${end}`, 'g'))) {
    text += output.slice(from, mark.index)
    from = mark.index + mark[0].length
    if (mark[1] !== undefined) {
      if (open !== null) throw new SpanError('the chat template nests {% generation %} blocks')
      open = { at: text.length, owner: mark[1] === '' ? null : Number(mark[1]) }
      continue
    }
    if (open === null) throw new SpanError('the chat template closes a {% generation %} block that is not open')
    if (text.length > open.at) marked.push({ span: [open.at, text.length], owner: open.owner })
    open = null
  }
  if (open !== null) throw new SpanError('the chat template does not close a {% generation %} block')
  text += output.slice(from)
  if (owner !== '' && (text.includes(begin) || text.includes(owner))) throw new SpanError('the chat template cuts into a {% generation %} block')
  return { text, marked }
}

/** The parts of these spans that lie in others; both ascend. */
export function within(spans: readonly [number, number][], others: readonly [number, number][]): [number, number][] {
  return spans.flatMap(([begin, end]) => others.flatMap(([from, to]): [number, number][] => (Math.max(begin, from) < Math.min(end, to) ? [[Math.max(begin, from), Math.min(end, to)]] : [])))
}
