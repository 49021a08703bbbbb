// Rewrites a tokenizer.json so that text can never become a control token by its wording.
//
// Every special token is renamed to a marker of private-use characters, of the same length in code points,
// in added_tokens and in the vocabulary. Text that is not trusted is encoded as it is: "<|im_end|>" is now an
// ordinary text. Where a control token is meant, its occurrence is replaced by the marker before encoding; ids,
// merges across boundaries, spaces and offsets come out as the original tokenizer gives them, because all
// that changed is a name. Added tokens that are not special ("<think>") keep theirs.
import { fail } from '../../core/errors/index.js'
import { countCodePoints } from '../text.js'
import type { AddedToken, TokenizerFiles } from './files.js'
import { wordPattern } from './words.js'
import { addedTokenJson, isSlowOnDigits, rawModel, type Component, type ModelJson, type TokenizerJson } from './tokenizer-json.js'

export interface ControlToken extends AddedToken {
  id: number
  marker: string
}

export interface GuardedTokenizer {
  /** For the Rust library. */
  json: string
  controls: ControlToken[]
  /** Every added token under its original name, in the order of the file: what competes for a match in text. */
  added: AddedToken[]
  /** Name in the rewritten file → id it must have. */
  expected: ReadonlyMap<string, number>
  /** Highest id of the vocabulary and the added tokens + 1. */
  vocabSize: number
  /** How plain text is cut into words; null: see words.ts. */
  words: RegExp | null
  /** Long rows of digits are refused. */
  slowOnDigits: boolean
}

/** Plane 16 of the private use area: lead, number, filling. A one-character token gets a character of its own. */
const lead = 0x10fffd
const filling = 0x10fffc
const firstNumber = 0x100000
const firstSolo = 0x108000
const maxControls = 0x7ff0

export function markerOf(index: number, content: string): string {
  const length = countCodePoints(content)
  if (length === 1) return String.fromCodePoint(firstSolo + index)
  return String.fromCodePoint(lead, firstNumber + index) + String.fromCodePoint(filling).repeat(length - 2)
}

/** @param source the file's text */
export function guardTokenizer(path: string, source: string, tokenizer: TokenizerJson, files: TokenizerFiles): GuardedTokenizer {
  const vocab = new Vocabulary(tokenizer.model)
  const entries = collectAdded(tokenizer, files, vocab)
  const controls: ControlToken[] = []
  const hidesMarkers = JSON.stringify(tokenizer.normalizer ?? null).includes('BertNormalizer')
  const rewritten = entries.map(({ id, token }) => {
    if (!token.special) return addedTokenJson(id, token)
    const control = { ...token, id, marker: markerOf(controls.length, token.content) }
    controls.push(control)
    if (controls.length > maxControls) fail('FT_TOKENIZER', `${path} has more than ${maxControls} special tokens`, { details: { path } })
    return addedTokenJson(id, { ...token, content: control.marker, normalized: token.normalized && !hidesMarkers })
  })
  const { model: _, ...others } = tokenizer
  const head = JSON.stringify({ ...others, truncation: null, padding: null, added_tokens: rewritten, post_processor: untrimmed(tokenizer.post_processor) })
  const model = vocab.renamed(new Map(controls.map((control) => [control.content, control.marker])))
  const modelText = (model === tokenizer.model && 'type' in tokenizer.model ? rawModel(source) : null) ?? JSON.stringify(model)
  return {
    json: `${head.slice(0, -1)},"model":${modelText}}`,
    controls,
    added: entries.map((entry) => entry.token),
    expected: new Map(rewritten.map((token) => [token.content, token.id])),
    vocabSize: Math.max(vocab.maxId(), ...rewritten.map((token) => token.id)) + 1,
    words: wordPattern({ ...tokenizer, added_tokens: rewritten }),
    slowOnDigits: isSlowOnDigits(tokenizer),
  }
}

interface Entry {
  id: number
  token: AddedToken
}

/** The file's added tokens, then those that only the configuration names; special where either says so. */
function collectAdded(tokenizer: TokenizerJson, files: TokenizerFiles, vocab: Vocabulary): Entry[] {
  const special = new Set<string>(Object.values(files.named))
  for (const { token } of files.added) if (token.special) special.add(token.content)
  const entries = new Map<string, Entry>()
  for (const { id, content, lstrip, rstrip, single_word: singleWord, normalized, special: marked } of tokenizer.added_tokens) {
    entries.set(content, { id, token: { content, lstrip, rstrip, singleWord, normalized, special: marked || special.has(content) } })
  }
  const more: Entry[] = []
  for (const { id, token } of files.added) {
    const known = vocab.idOf(token.content) ?? id
    // A token that has no id anywhere would get one beyond the model's embeddings: it stays text.
    if (known !== null && !entries.has(token.content)) more.push({ id: known, token })
  }
  more.sort((a, b) => a.id - b.id)
  return [...entries.values(), ...more]
}

/** Offsets with the spaces that belong to a token: a loss mask counts every character. */
function untrimmed(processor: Component | null): Component | null {
  if (processor === null) return null
  if (Array.isArray(processor.processors)) return { ...processor, processors: (processor.processors as Component[]).map(untrimmed) }
  return 'trim_offsets' in processor ? { ...processor, trim_offsets: false } : processor
}

class Vocabulary {
  constructor(readonly model: ModelJson) {}

  idOf(token: string): number | null {
    const { vocab } = this.model
    if (!Array.isArray(vocab)) return Object.hasOwn(vocab, token) ? (vocab[token] as number) : null
    const index = vocab.findIndex(([piece]) => piece === token)
    return index < 0 ? null : index
  }

  maxId(): number {
    const { vocab } = this.model
    if (Array.isArray(vocab)) return vocab.length - 1
    let max = 0
    for (const id of Object.values(vocab)) if (id > max) max = id
    return max
  }

  /** The model with control tokens under their markers, and without merges that could make one from text. The same one where nothing changes. */
  renamed(markers: ReadonlyMap<string, string>): ModelJson {
    const { vocab, unk_token: unknown, dropout } = this.model
    const held = Array.isArray(vocab) ? vocab.filter(([piece]) => markers.has(piece)).map(([piece]) => piece) : [...markers.keys()].filter((content) => Object.hasOwn(vocab, content))
    // A random choice of merges (dropout) would make training depend on more than the seed.
    const random = typeof dropout === 'number' && dropout > 0
    if (held.length === 0 && !random) return this.model
    const model: ModelJson = { ...this.model, ...(random ? { dropout: null } : {}) }
    if (typeof unknown === 'string') model.unk_token = markers.get(unknown) ?? unknown
    if (Array.isArray(vocab)) model.vocab = vocab.map(([piece, score]): [string, number] => [markers.get(piece) ?? piece, score])
    else renameKeys(vocab, held, markers)
    const renamed = new Set(held)
    const lengths = new Set(held.map((content) => content.length))
    model.merges &&= model.merges.filter((merge) => {
      const [left, right] = typeof merge === 'string' ? (merge.split(' ') as [string, string]) : merge
      // Joining half a million pairs takes longer than asking whether any could be meant.
      return !renamed.has(left) && !renamed.has(right) && !(lengths.has(left.length + right.length) && renamed.has(left + right))
    })
    return model
  }
}

function renameKeys(vocab: Record<string, number>, keys: readonly string[], names: ReadonlyMap<string, string>): void {
  for (const key of keys) {
    const id = vocab[key] as number
    delete vocab[key]
    vocab[names.get(key) as string] = id
  }
}
