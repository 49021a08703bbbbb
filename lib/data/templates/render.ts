// One conversation → text, protected positions and spans. Runs in the worker.
import type { ChatJob, ChatResult, Message, WorkerSettings } from './chat.js'
import { compileTemplate, type CompiledTemplate } from './compile.js'
import { ControlFinder, Disguise, mapTexts } from './disguise.js'
import { putBack } from './exact-values.js'
import { noMarks, takeMarks, within, type MarkedSpan, type Marks } from './marks.js'
import { findSpans, SpanError, withoutEnds, type Spans } from './spans.js'

/** Of one row, how many texts that could complete a control token are looked at one by one. */
const maxFragments = 64

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
    const learned = job.learned ?? job.messages.map(({ role }) => role === 'assistant')
    const marks = { begin: disguise.unused(), owner: isEveryAnswer(job.messages, learned) ? '' : disguise.unused(), end: disguise.unused() }
    const wantsMarks = job.spans === true && template.marked
    const output = run(chat, opening, wantsMarks ? marks : noMarks)
    const { text: disguised, marked } = wantsMarks ? takeMarks(output, marks) : { text: output, marked: null }
    const { text, positions } = disguise.reveal(disguised)
    if (job.spans !== true) return { text, protectedPositions: positions, spans: [], unstable: false }
    const find = (learned: readonly boolean[]): Spans => findSpans({
      messages: chat.messages,
      learned,
      full: disguised,
      opening,
      opensTurns: template.opensTurns,
      controls: this.#controls,
      sentinel: disguise.unused(),
      render: (messages, addGenerationPrompt) => attempt(() => run({ messages, tools: chat.tools }, addGenerationPrompt)),
    })
    const { spans, unstable } = marked === null ? find(learned) : chooseMarked(marked, job.messages, learned, find)
    // Control tokens of the disguised text are the template's own.
    return { text, protectedPositions: positions, spans: job.withoutEnds === true ? withoutEnds(disguised, spans, this.#controls) : spans, unstable }
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

/** What the assistant wrote is learned, all of it and nothing else. */
function isEveryAnswer(messages: Chat['messages'], learned: readonly boolean[]): boolean {
  return messages.every(({ role }, k) => (role === 'assistant') === (learned[k] === true))
}

/** The marked spans of the messages that are learned; of other roles, which templates do not mark, what is found. */
function chooseMarked(marked: readonly MarkedSpan[], messages: Chat['messages'], learned: readonly boolean[], find: (learned: readonly boolean[]) => Spans): Spans {
  if (isEveryAnswer(messages, learned)) return { spans: marked.map(({ span }) => span), unstable: false }
  const answers = learned.map((one, k) => one && messages[k]?.role === 'assistant')
  const others = learned.map((one, k) => one && messages[k]?.role !== 'assistant' && !marked.some(({ owner }) => owner === k))
  const spans = marked.every(({ owner }) => owner !== null)
    ? marked.filter(({ owner }) => learned[owner as number]).map(({ span }) => span)
    // What no message is known of is told by where the turns are.
    : within(marked.map(({ span }) => span), find(answers).spans)
  if (!others.includes(true)) return { spans, unstable: false }
  const found = find(others)
  const all = [...spans, ...found.spans].sort(([a], [b]) => a - b)
  if (all.some(([begin], i) => i > 0 && begin < (all[i - 1] as [number, number])[1])) throw new SpanError('the turns that are learned overlap')
  return { spans: all, unstable: found.unstable }
}
