// What the two kinds of vocabulary have in common: text in, ids and offsets out, with a say in which parts of
// the text may be read as control tokens.

/**
 * Which control tokens ("<|im_end|>" …) in a text are meant:
 * 'all': every one (text written by a template or by the program) · 'none': none, they are text (data, user input) ·
 * positions: none that covers one of these UTF-16 positions, in ascending order (a template's output around data).
 */
export type Trust = 'all' | 'none' | readonly number[]

export interface EncodeRequest {
  text: string
  trust: Trust
  /** As the tokenizer's own post-processor does: BOS, EOS … */
  addSpecialTokens: boolean
  offsets?: boolean
}

export interface Encoded {
  ids: Int32Array
  /** Where each id came from: UTF-16 [begin0, end0, begin1, …]; 0, 0 for tokens that are not in the text. */
  offsets?: Int32Array
  /** How many ids the post-processor put before and after the text. */
  prefix: number
  suffix: number
}

export interface TokenizerEngine {
  /** 'none': the folder has no tokenizer; every text is refused. */
  readonly kind: 'tokenizer.json' | 'sentencepiece' | 'none'
  /** Highest id + 1. */
  readonly vocabSize: number
  /** Texts of the control tokens. */
  readonly controls: readonly string[]
  encode(requests: readonly EncodeRequest[]): Promise<Encoded[]>
  decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string>
  idOf(token: string): number | null
  tokenOf(id: number): string | null
  isControl(id: number): boolean
  dispose(): void
}

/** True when no protected position (ascending) lies in [start, end). */
export function mayMatch(trust: Trust, start: number, end: number): boolean {
  if (trust === 'all') return true
  if (trust === 'none') return false
  let low = 0
  let high = trust.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((trust[middle] as number) < start) low = middle + 1
    else high = middle
  }
  return low === trust.length || (trust[low] as number) >= end
}
