// One conversation → text, protected positions and spans. Runs in the worker.
import type { ChatJob, ChatResult, Message, WorkerSettings } from './chat.js'
import { compileTemplate, type CompiledTemplate, type Marks } from './compile.js'
import { ControlFinder, Disguise, mapTexts } from './disguise.js'
import { putBack } from './exact-values.js'
import { findSpans, SpanError, withoutEnds } from './spans.js'

/** Of one row, how many texts that could complete a control token are looked at one by one. */
const maxFragments = 64
const noMarks: Marks = { begin: '', end: '' }

interface Chat {
  messages: readonly Message[]
  tools: readonly unknown[] | null
}

export class ConversationRenderer {
  readonly #plain: CompiledTemplate
  readonly #withTools: CompiledTemplate
  readonly #controls: ControlFinder

  /** Throws when a template cannot be read. */
  constructor(readonly settings: WorkerSettings) {
    this.#plain = compileTemplate(settings.template)
    this.#withTools = settings.toolTemplate === null ? this.#plain : compileTemplate(settings.toolTemplate)
    this.#controls = new ControlFinder(settings.controlTokens)
  }

  render(job: ChatJob): ChatResult {
    try {
      return this.#render(job)
    } catch (error) {
      const reason = error instanceof RangeError && /string length/i.test(error.message) ? 'its output is too long' : error instanceof Error ? error.message : String(error)
      return { problem: error instanceof SpanError ? reason : `the chat template refused it: ${reason.slice(0, 300)}` }
    }
  }

  #render(job: ChatJob): ChatResult {
    const plain: Chat = { messages: job.messages, tools: job.tools ?? null }
    const texts = JSON.stringify(plain)
    const raw = putBack(plain, job.exact ?? [])
    const template = raw.tools === null ? this.#plain : this.#withTools
    const disguise = new Disguise([texts, this.settings.template, this.settings.toolTemplate ?? ''])
    const run = (chat: Chat, addGenerationPrompt: boolean, marks = noMarks): string => this.#run(template, chat, addGenerationPrompt, marks)
    const opening = job.addGenerationPrompt ?? false
    const chat = this.#protect(raw, disguise, (candidate) => run(candidate, opening))
    const marks = { begin: disguise.unused(), end: disguise.unused() }
    const wantsMarks = job.spans === true && template.marked
    const output = run(chat, opening, wantsMarks ? marks : noMarks)
    const { text: disguised, spans } = wantsMarks ? takeMarks(output, marks) : { text: output, spans: [] }
    const { text, positions } = disguise.reveal(disguised)
    if (job.spans !== true) return { text, protectedPositions: positions, spans: [], unstable: false }
    const learned = job.learned ?? job.messages.map(({ role }) => role === 'assistant')
    const marked = wantsMarks ? chooseMarked(spans, job.messages, learned) : null
    // Control tokens of the disguised text are the template's own.
    const wanted = (all: [number, number][]): [number, number][] => (job.withoutEnds === true ? withoutEnds(disguised, all, this.#controls) : all)
    if (marked !== null) return { text, protectedPositions: positions, spans: wanted(marked), unstable: false }
    const found = findSpans({
      messages: chat.messages,
      learned,
      full: disguised,
      opening,
      opensTurns: template.opensTurns,
      controls: this.#controls,
      sentinel: disguise.unused(),
      render: (messages, addGenerationPrompt) => attempt(() => run({ messages, tools: chat.tools }, addGenerationPrompt)),
    })
    return { text, protectedPositions: positions, spans: wanted(found.spans), unstable: found.unstable }
  }

  #run(template: CompiledTemplate, chat: Chat, addGenerationPrompt: boolean, marks: Marks): string {
    const { variables, maxCharacters } = this.settings
    const text = template.render({ ...variables, messages: chat.messages, tools: chat.tools, documents: null, add_generation_prompt: addGenerationPrompt }, marks)
    if (text.length > maxCharacters) throw new Error(`its output has more than ${maxCharacters} characters`)
    return text
  }

  /** The conversation with every character hidden that could help to form a control token. */
  #protect(raw: Chat, disguise: Disguise, run: (chat: Chat) => string): Chat {
    const risky = new Map<number, number[]>()
    let hidden = false
    const safe = mapTexts(raw, (text, number) => {
      const occurrences = this.#controls.occurrences(text)
      hidden ||= occurrences.length > 0
      const result = disguise.hide(text, occurrences)
      const fragments = this.#controls.fragments(result)
      if (fragments.length > 0 && risky.size < maxFragments) risky.set(number, fragments)
      return result
    })
    const chat = hidden ? safe : raw
    if (risky.size === 0) return chat
    // A template may look at such a text ("is it empty", "which type"): it is hidden where that changes nothing.
    const expected = disguise.reveal(run(chat)).text
    const hide = (numbers: ReadonlySet<number>): Chat => mapTexts(chat, (text, number) => (numbers.has(number) ? disguise.hide(text, risky.get(number) ?? []) : text))
    const changesNothing = (candidate: Chat): boolean => {
      const text = attempt(() => run(candidate))
      return text !== null && disguise.reveal(text).text === expected
    }
    const all = hide(new Set(risky.keys()))
    if (changesNothing(all)) return all
    return hide(new Set([...risky.keys()].filter((number) => changesNothing(hide(new Set([number]))))))
  }
}

function attempt(work: () => string): string | null {
  try {
    return work()
  } catch {
    return null
  }
}

/** The marked spans of these messages; null: marks do not tell which is whose, or some of the messages have none. */
function chooseMarked(spans: readonly [number, number][], messages: Chat['messages'], learned: readonly boolean[]): [number, number][] | null {
  const writers = messages.flatMap(({ role }, k) => (role === 'assistant' ? [k] : []))
  const others = learned.some((one, k) => one && messages[k]?.role !== 'assistant')
  if (others) return null
  if (writers.every((k) => learned[k])) return [...spans]
  return spans.length === writers.length ? spans.filter((_, i) => learned[writers[i] as number]) : null
}

function takeMarks(output: string, marks: Marks): { text: string; spans: [number, number][] } {
  const spans: [number, number][] = []
  let text = ''
  let open: number | null = null
  for (const part of output.split(new RegExp(`([${marks.begin}${marks.end}])`))) {
    if (part === marks.begin) {
      if (open !== null) throw new SpanError('the chat template nests {% generation %} blocks')
      open = text.length
    } else if (part === marks.end) {
      if (open === null) throw new SpanError('the chat template closes a {% generation %} block that is not open')
      if (text.length > open) spans.push([open, text.length])
      open = null
    } else {
      text += part
    }
  }
  if (open !== null) throw new SpanError('the chat template does not close a {% generation %} block')
  return { text, spans }
}
