// Which tokens carry loss, by where they came from in the text; never by searching for ids.
import type { ChatRow } from './formats/format.js'
import { ignoreLabel } from './types.js'

/** Parts of a text that carry loss: UTF-16 [begin, end), ascending. */
export type Span = readonly [number, number]

/**
 * Labels of encoded text: a token carries loss when any of its characters lies in a span, so one that spans a
 * boundary does. Tokens without characters ("▁" put before a text) belong to the place they stand at.
 * @param offsets UTF-16 [begin0, end0, …] @param prefix @param suffix ids around the text that are not from it
 */
export function labelSpans(ids: Int32Array, offsets: Int32Array, spans: readonly Span[], around: { prefix: number; suffix: number }): Int32Array {
  const labels = new Int32Array(ids.length).fill(ignoreLabel)
  let s = 0
  for (let t = around.prefix; t < ids.length - around.suffix; t++) {
    const begin = offsets[2 * t] as number
    const end = offsets[2 * t + 1] as number
    // Offsets ascend, but tokens of one character share them: a span is left only when it ends before the token.
    while (s < spans.length && (spans[s] as Span)[1] <= begin) s++
    const span = spans[s]
    if (span !== undefined && (begin === end ? span[0] <= begin : span[0] < end)) labels[t] = ids[t] as number
  }
  return labels
}

/** answers: completions and every turn of the assistant · last: the last of them alone · all: every token. */
export type TrainOn = 'answers' | 'last' | 'all'

/**
 * Which messages carry loss; null: all tokens do. What a message says about itself (`train`, `weight`) wins. `inverted`: these
 * are the messages that carry none, and everything else does.
 */
export function learnedTurns({ messages, trained, answersFrom = 0 }: ChatRow, trainOn: TrainOn): { turns: boolean[] | null; inverted: boolean } {
  if (trainOn === 'all') {
    const without = messages.map((_, k) => trained?.[k] === false)
    return without.includes(true) ? { turns: without, inverted: true } : { turns: null, inverted: false }
  }
  const last = messages.findLastIndex(({ role }) => role === 'assistant')
  const byRole = messages.map(({ role }, k) => role === 'assistant' && k >= answersFrom && (trainOn === 'answers' || k === last))
  return { turns: byRole.map((one, k) => trained?.[k] ?? one), inverted: false }
}
