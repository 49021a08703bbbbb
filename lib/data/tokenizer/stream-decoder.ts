// Ids that arrive one by one → text that can be shown at once: never half a character, spaces where they belong.
//
// A tokenizer's decoder is not additive: bytes of one character may be split over ids, and the first id of a
// text may lose its space. So the last ids that were shown are decoded again together with the new ones, and
// what is longer is new.
import type { TokenizerEngine } from './engine.js'

/** U+FFFD at the end: bytes of a character may still be to come. */
const broken = '\ufffd'
/** Ids that are held back at most: a model that writes nothing but broken bytes is shown doing it. */
const maxHeld = 64
const contextIds = 16

export interface StreamDecoder {
  /** The text that these ids complete; "" while a character is incomplete. */
  push(ids: number | readonly number[]): Promise<string>
  /** What is left: incomplete characters become U+FFFD. */
  end(): Promise<string>
}

/** @param before ids that come before the stream (a prompt): the first text then keeps its space. */
export function createStreamDecoder(engine: TokenizerEngine, options: { skipSpecialTokens?: boolean; before?: readonly number[] } = {}): StreamDecoder {
  const skip = options.skipSpecialTokens ?? true
  /** Ids whose text was shown and gives the new ones their context; ids not shown yet. */
  let shown: readonly number[] = options.before?.slice(-contextIds) ?? []
  let held: number[] = []

  const text = async (): Promise<{ fresh: string; whole: string }> => {
    const before = await engine.decode(shown, skip)
    const whole = await engine.decode([...shown, ...held], skip)
    // With nothing before it, decoding may drop a leading space for the context too: then all of it is new.
    return { fresh: whole.startsWith(before) ? whole.slice(before.length) : whole.slice(commonPrefix(before, whole)), whole }
  }
  const show = (): void => {
    shown = held
    held = []
  }

  return {
    async push(ids) {
      let result = ''
      for (const id of typeof ids === 'number' ? [ids] : ids) {
        held.push(id)
        const { fresh, whole } = await text()
        if (fresh === '' || (whole.endsWith(broken) && held.length < maxHeld)) continue
        result += fresh
        show()
      }
      return result
    },
    async end() {
      if (held.length === 0) return ''
      const { fresh } = await text()
      show()
      return fresh
    },
  }
}

function commonPrefix(a: string, b: string): number {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return length
}
