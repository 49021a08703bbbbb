// A tokenizer.json, checked before the Rust library sees it. That library ends the process (a panic in a
// worker thread) for some files that its own reader accepts, so what it would stumble over is refused here.
// Format: https://huggingface.co/docs/tokenizers, version 1.0.
import type { z } from 'zod'
import { fail } from '../../core/errors/index.js'
import type { AddedToken } from './files.js'
import { checkPattern } from './pattern-check.js'
import { tokenizerJsonSchemas } from './tokenizer-json-schema.js'

export interface TokenizerJson extends Record<string, unknown> {
  added_tokens: { id: number; content: string; special: boolean; lstrip: boolean; rstrip: boolean; single_word: boolean; normalized: boolean }[]
  post_processor: Component | null
  model: ModelJson
}

export interface Component extends Record<string, unknown> {
  type: string
}

export interface ModelJson extends Record<string, unknown> {
  type: 'BPE' | 'WordPiece' | 'WordLevel' | 'Unigram'
  vocab: Record<string, number> | [string, number][]
  merges?: (string | [string, string])[]
}

const maxNesting = 16

/** Errors: FT_TOKENIZER naming the field. */
export function readTokenizerJson(path: string, text: string): TokenizerJson {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return fail('FT_TOKENIZER', `${path} is not valid JSON`, { remedy: 'the file is damaged: download it again', details: { path }, cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(path, '', 'expected an object')
  // The vocabulary is checked by hand: it has too many entries for a schema.
  const { model: rawModel, ...head } = value as Record<string, unknown>
  if (depthOf(head, maxNesting + 1) > maxNesting) refuse(path, '', 'it is nested too deeply')
  const result = tokenizerJsonSchemas().file.safeParse(head)
  if (!result.success) {
    const issue = deepest(result.error.issues)
    refuse(path, issue.path.join('.'), issue.message)
  }
  const model = checkModel(path, rawModel)
  return { ...result.data, post_processor: (result.data.post_processor as Component | null | undefined) ?? null, model }
}

type Issue = z.core.$ZodIssue

/** Of a union, the fault of the branch that came furthest says more than "invalid union". */
function deepest(issues: readonly Issue[]): { path: PropertyKey[]; message: string } {
  const [first] = issues
  if (first === undefined) return { path: [], message: 'unexpected content' }
  if (first.code !== 'invalid_union' || first.errors.length === 0) return first
  const inner = first.errors.map((branch) => deepest(branch)).sort((a, b) => b.path.length - a.path.length)[0]
  return inner === undefined ? first : { path: [...first.path, ...inner.path], message: inner.message }
}

function refuse(path: string, field: string, reason: string): never {
  fail('FT_TOKENIZER', `${path}${field === '' ? '' : `, ${field}`}: ${reason}`, {
    remedy: 'the file is damaged, or of a kind that is not supported: download it again, or convert it with transformers',
    details: { path, field },
  })
}

/** One of its patterns takes a time that grows with the square of the digits in a row. */
export function isSlowOnDigits({ normalizer: n, pre_tokenizer: p, decoder: d }: TokenizerJson): boolean {
  const find = (node: unknown): boolean => {
    if (typeof node !== 'object' || node === null) return false
    return Object.entries(node).some(([key, value]) => (key === 'Regex' && typeof value === 'string' ? checkPattern(value).slowOnDigits === true : find(value)))
  }
  return find([n, p, d])
}

function depthOf(value: unknown, limit: number): number {
  if (typeof value !== 'object' || value === null || limit === 0) return 0
  let deepestChild = 0
  for (const key in value) deepestChild = Math.max(deepestChild, depthOf(Reflect.get(value, key), limit - 1))
  return deepestChild + 1
}

const modelTypes = new Set(['BPE', 'WordPiece', 'WordLevel', 'Unigram'])

function checkModel(path: string, raw: unknown): ModelJson {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) refuse(path, 'model', 'expected an object')
  const { vocab, merges, ...small } = raw as Record<string, unknown>
  const model = { ...small, vocab, merges }
  const type = small.type ?? guessType(raw)
  if (typeof type !== 'string' || !modelTypes.has(type)) refuse(path, 'model.type', 'expected BPE, WordPiece, WordLevel or Unigram')
  const fields = tokenizerJsonSchemas().modelFields.safeParse(small)
  if (!fields.success) {
    const issue = deepest(fields.error.issues)
    refuse(path, ['model', ...issue.path].join('.'), issue.message)
  }
  if (type === 'Unigram') checkPieces(path, model)
  else checkVocab(path, model)
  if (type === 'BPE') checkMerges(path, model)
  return { ...model, type } as ModelJson
}

/** Files of the first years name no type. */
function guessType(model: object): string {
  return 'vocab' in model && Array.isArray(model.vocab) ? 'Unigram' : 'merges' in model ? 'BPE' : 'max_input_chars_per_word' in model ? 'WordPiece' : 'WordLevel'
}

function checkVocab(path: string, model: Record<string, unknown>): void {
  const { vocab } = model
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab)) refuse(path, 'model.vocab', 'expected an object of ids by token')
  const ids = Object.values(vocab)
  if (ids.length === 0) refuse(path, 'model.vocab', 'it is empty')
  for (const id of ids) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > 0x7fff_ffff) refuse(path, 'model.vocab', 'an id is not an integer of 0 or more')
  }
}

function checkPieces(path: string, model: Record<string, unknown>): void {
  const { vocab, unk_id: unkId } = model
  if (!Array.isArray(vocab) || vocab.length === 0) refuse(path, 'model.vocab', 'expected an array of [piece, score]')
  for (const entry of vocab as unknown[]) {
    const ok = Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string' && typeof entry[1] === 'number' && Number.isFinite(entry[1])
    if (!ok) refuse(path, 'model.vocab', 'an entry is not [piece, score]')
  }
  if (typeof unkId !== 'number' || unkId >= vocab.length) refuse(path, 'model.unk_id', 'expected the index of the unknown piece')
}

/** That every merge is made of known tokens is left to the library, which says so; but not what ends the process. */
function checkMerges(path: string, model: Record<string, unknown>): void {
  const { merges, vocab, continuing_subword_prefix: prefix } = model
  if (!Array.isArray(merges)) refuse(path, 'model.merges', 'expected an array')
  let longest = 0
  for (const token of Object.keys(vocab as Record<string, number>)) if (3 * token.length > longest) longest = Math.max(longest, Buffer.byteLength(token))
  for (const merge of merges as unknown[]) {
    if (!isMerge(merge)) refuse(path, 'model.merges', 'a merge is not two tokens')
    // The library joins both in a buffer of the longest token's size …
    const size = typeof merge === 'string' ? merge.length - 1 : merge[0].length + merge[1].length
    if (3 * size > longest && bytesOf(merge) > longest) refuse(path, 'model.merges', 'a merge makes a token that the vocabulary does not have')
    // … and cuts the prefix off the second without looking.
    if (typeof prefix === 'string' && !(typeof merge === 'string' ? merge.slice(merge.lastIndexOf(' ') + 1) : merge[1]).startsWith(prefix)) {
      refuse(path, 'model.merges', 'a merge does not have the continuing_subword_prefix')
    }
  }
}

function isMerge(merge: unknown): merge is string | [string, string] {
  if (typeof merge === 'string') return merge.includes(' ')
  return Array.isArray(merge) && merge.length === 2 && typeof merge[0] === 'string' && typeof merge[1] === 'string'
}

/** Of both tokens; a merge in one text has a space between them. */
function bytesOf(merge: string | [string, string]): number {
  return typeof merge === 'string' ? Buffer.byteLength(merge) - 1 : Buffer.byteLength(merge[0]) + Buffer.byteLength(merge[1])
}

/**
 * The text of the file's model as it stands, when it is the last field, as in every file the library writes:
 * a vocabulary that is not changed need not be written again. null: it is not, or cannot be told.
 */
export function rawModel(text: string): string | null {
  const key = '"model":'
  const at = text.indexOf(key)
  const end = text.lastIndexOf('}')
  if (at < 0 || text.slice(end + 1).trim() !== '') return null
  try {
    // A quote inside a text is escaped, so this is a field; a head that is complete with it says of the outermost object.
    JSON.parse(`${text.slice(0, at)}${key}0}`)
  } catch {
    return null
  }
  return text.slice(at + key.length, end)
}

export function addedTokenJson(id: number, token: AddedToken): TokenizerJson['added_tokens'][number] {
  return {
    id, content: token.content, special: token.special, lstrip: token.lstrip, rstrip: token.rstrip,
    single_word: token.singleWord, normalized: token.normalized,
  }
}
