// Which tokens carry loss, by where they came from in the text; never by searching for ids.
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
