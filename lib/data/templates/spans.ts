// Which parts of a rendered conversation are learned: what the assistant wrote, by offsets. Runs in the worker.
//
// A template with {% generation %} says so itself. Otherwise a turn is what rendering up to and including it has
// more than rendering up to it with add_generation_prompt. Some templates render a turn differently once others
// follow (they drop earlier thoughts), or open turns unasked: there the turn is found by rendering it with other
// content and looking where the output changes, and it ends with the control token that follows.
import type { Message } from './chat.js'
import type { ControlFinder } from './disguise.js'

export interface SpanInput {
  messages: readonly Message[]
  /** Which of them are wanted. */
  learned: readonly boolean[]
  full: string
  /** The whole ends with the opening of a turn. */
  opening: boolean
  /** The template knows add_generation_prompt. */
  opensTurns: boolean
  controls: ControlFinder
  /** A character that is in no conversation. */
  sentinel: string
  /** null: the template refuses these messages. */
  render(messages: readonly Message[], addGenerationPrompt: boolean): string | null
}

export interface Spans {
  spans: [number, number][]
  unstable: boolean
}

export class SpanError extends Error {}

export function findSpans(input: SpanInput): Spans {
  const spans: [number, number][] = []
  let unstable = false
  input.messages.forEach((message, k) => {
    if (input.learned[k] !== true) return
    const turn = message.role === 'assistant' ? findTurn(input, k) : findOther(input, k)
    if (turn === null) return
    unstable ||= turn.unstable
    const last = spans[spans.length - 1]
    if (turn.end < turn.start || (last !== undefined && turn.start < last[1])) throw new SpanError('the turns that are learned overlap')
    if (turn.end > turn.start) spans.push([turn.start, turn.end])
  })
  return { spans, unstable }
}

interface Turn {
  start: number
  end: number
  unstable: boolean
}

/** null: the template leaves this turn out. */
function findTurn(input: SpanInput, k: number): Turn | null {
  const { messages, full, opening, opensTurns } = input
  const before = prefixLength(input, messages.slice(0, k), opensTurns)
  const isLast = k === messages.length - 1 && !opening
  const after = isLast ? full.length : prefixLength(input, messages.slice(0, k + 1), false)
  if (opensTurns && before !== null && after !== null) return { start: before, end: after, unstable: false }
  const content = locateContent(input, k)
  if (content === null) return null
  return {
    start: startOf(input, before, content.start),
    end: opensTurns && after !== null ? after : endOfTurn(input, content.end),
    unstable: opensTurns,
  }
}

/** A turn of somebody else: its content and the end of the turn, without its header. */
function findOther(input: SpanInput, k: number): Turn | null {
  const content = locateContent(input, k)
  return content === null ? null : { start: content.start, end: endOfTurn(input, content.end), unstable: false }
}

/** How much of the whole these first messages render to; null where the whole does not begin so. */
function prefixLength({ full, render }: SpanInput, messages: readonly Message[], addGenerationPrompt: boolean): number | null {
  if (messages.length === 0 && !addGenerationPrompt) return 0
  const text = render(messages, addGenerationPrompt)
  return text !== null && full.startsWith(text) ? text.length : null
}

/** Without add_generation_prompt, what comes before the turn ends before its header: then the content's own start counts. */
function startOf({ full, opensTurns }: SpanInput, before: number | null, contentStart: number): number {
  if (before === null) return contentStart
  if (opensTurns) return before
  return before <= contentStart && full.slice(before, contentStart).trim() === '' ? before : contentStart
}

/** Where the output changes when the turn says something else. */
function locateContent({ messages, full, opening, sentinel, render }: SpanInput, k: number): { start: number; end: number } | null {
  const other = render([...messages.slice(0, k), withContent(messages[k] as Message, sentinel), ...messages.slice(k + 1)], opening)
  if (other === null) throw new SpanError('the template renders earlier turns differently once later ones follow, and does not show which part the assistant wrote')
  if (other === full) return null
  const shorter = Math.min(full.length, other.length)
  let start = 0
  while (start < shorter && full[start] === other[start]) start++
  let tail = 0
  while (tail < shorter - start && full[full.length - 1 - tail] === other[other.length - 1 - tail]) tail++
  return { start, end: full.length - tail }
}

/** The message with the same shape and other words. */
function withContent(message: Message, sentinel: string): Message {
  const changed: Record<string, unknown> = { ...message }
  const text = (value: unknown): unknown => (typeof value === 'string' ? sentinel : value)
  if (typeof message.content === 'string') changed.content = sentinel
  else if (Array.isArray(message.content)) changed.content = message.content.map((part: unknown) => (isObject(part) && 'text' in part ? { ...part, text: text(part.text) } : text(part)))
  for (const thoughts of ['reasoning_content', 'thinking']) if (typeof message[thoughts] === 'string') changed[thoughts] = sentinel
  if (Array.isArray(message.tool_calls)) changed.tool_calls = message.tool_calls.map((call: unknown) => withOtherCall(call, sentinel))
  return changed as Message
}

function withOtherCall(call: unknown, sentinel: string): unknown {
  if (call instanceof Map) return new Map([...(call as Map<string, unknown>)].map(([name, value]) => [name, isObject(value) ? withOtherCall(value, sentinel) : typeof value === 'string' ? sentinel : value]))
  if (!isObject(call)) return call
  if (isObject(call.function)) return { ...call, function: withOtherCall(call.function, sentinel) }
  const { arguments: given } = call
  const other = given instanceof Map ? withOtherCall(given, sentinel) : isObject(given) ? Object.fromEntries(Object.entries(given).map(([name, value]) => [name, typeof value === 'string' ? sentinel : value])) : sentinel
  return { ...call, name: sentinel, arguments: other }
}

/** The control token that follows the content, and line ends before the next one. */
function endOfTurn({ full, controls }: SpanInput, contentEnd: number): number {
  const gap = /^\s*/.exec(full.slice(contentEnd, contentEnd + 64))?.[0].length ?? 0
  const length = controls.lengthAt(full, contentEnd + gap)
  if (length === 0) return contentEnd
  const end = contentEnd + gap + length
  const lines = /^[\r\n]*/.exec(full.slice(end, end + 64))?.[0].length ?? 0
  const follows = end + lines
  return follows === full.length || controls.lengthAt(full, follows) > 0 ? follows : end
}

/** Spans up to the last control token in them, where only white space follows it: the one that ends the turn. */
export function withoutEnds(full: string, spans: readonly [number, number][], controls: ControlFinder): [number, number][] {
  return spans.flatMap(([begin, end]): [number, number][] => {
    const text = full.slice(begin, end).trimEnd()
    const last = controls.occurrences(text).at(-1)
    const endsTurn = last !== undefined && last + controls.lengthAt(text, last) === text.length
    if (!endsTurn) return [[begin, end]]
    return last === 0 ? [] : [[begin, begin + last]]
  })
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
