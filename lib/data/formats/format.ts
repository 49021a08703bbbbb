// What a row can be, and how the formats beside this file read it. A format turns a row into one of a few kinds;
// encode.ts turns these into tokens and labels.
import { findLoneSurrogate } from '../text.js'
import type { ExactNote } from '../exact.js'
import type { Span } from '../masking.js'
import type { Message } from '../templates/chat.js'
import type { RowValue } from '../types.js'
import { kindOf } from '../loaders/parse-row.js'
import type { z } from 'zod'

export interface TextRow { kind: 'text'; text: string }

export interface PairRow {
  kind: 'pair'
  prompt: string
  completion: string
  /** Parts of the prompt that carry loss as the completion does: earlier answers of a conversation written as one text. */
  answers?: readonly Span[]
}

export interface ChatRow {
  kind: 'chat'
  messages: readonly Message[]
  tools: readonly unknown[] | null
  /** What each message says about its own loss; null: nothing, so its role decides. Absent: none says anything. */
  trained?: readonly (boolean | null)[]
  /** The messages before this one are a prompt: what the assistant says there is given. Absent: 0. */
  answersFrom?: number
  /** What {messages, tools} lose as JavaScript's values. */
  exact?: readonly ExactNote[]
}

/** A text, or turns of a conversation. */
export type Answer = string | readonly Message[]

export type ParsedRow =
  /** Every token carries loss; an end-of-sequence token follows. */
  | TextRow
  /** The completion carries loss; an end-of-sequence token follows. */
  | PairRow
  /** The assistant's turns carry loss; it ends as the template ends. */
  | ChatRow
  /** A conversation where the model has a chat template, else the pair. */
  | { kind: 'instruction'; chat: ChatRow; pair: PairRow }
  /** As it is. labels null: the ids themselves. */
  | { kind: 'tokens'; inputIds: Int32Array; labels: Int32Array | null }
  /** Two answers, the better one first. prompt null: it is in both. */
  | { kind: 'preference'; prompt: Answer | null; chosen: Answer; rejected: Answer; tools: readonly unknown[] | null }
  /** One answer, good or bad. */
  | { kind: 'unpaired'; prompt: Answer; completion: Answer; label: boolean; tools: readonly unknown[] | null }
  /** Steps of one answer, each right or wrong. */
  | { kind: 'stepwise'; prompt: string; completions: readonly string[]; labels: readonly boolean[] }

export type ParseResult = ParsedRow | { problem: string }

export interface RowFormat {
  /** "prompt_completion" */
  readonly name: string
  /** For messages: "{prompt, completion}". */
  readonly shape: string
  /** Columns that make a row one of this format. */
  readonly columns: readonly string[]
  /** Columns that it reads where they are there. */
  readonly optional?: readonly string[]
  /** Columns that make it something else after all. */
  readonly unless?: readonly string[]
  /** What a row must look like: the shipped JSON Schema is made from it. */
  readonly schema: () => z.ZodType
  /** `problem` names the field and what was expected, never the content. */
  parse(row: RowValue): ParseResult
}

/** The first fault zod found, as "messages.2.content: expected a text, got a number". */
export function describeIssue(error: z.ZodError, row: unknown): string {
  const issue = error.issues[0]
  if (issue === undefined) return 'unexpected content'
  const path = issue.path.map(String).join('.')
  let value = row
  for (const key of issue.path) value = typeof value === 'object' && value !== null ? (Reflect.get(value, key) as unknown) : undefined
  const got = issue.code === 'invalid_type' || issue.code === 'invalid_union' ? `, got ${kindOf(value)}` : ''
  return `${path}: ${issue.message}${got}`
}

/** "prompt: half of a surrogate pair at position 12" for the first text that is not Unicode, or null. */
export function findBrokenText(value: unknown, path: string): string | null {
  if (typeof value === 'string') {
    const lone = findLoneSurrogate(value)
    return lone < 0 ? null : `${path}: half of a surrogate pair at position ${lone + 1}`
  }
  if (typeof value !== 'object' || value === null) return null
  for (const [key, item] of Object.entries(value)) {
    const broken = findBrokenText(key, `${path}: a name`) ?? findBrokenText(item, `${path}.${key}`)
    if (broken !== null) return broken
  }
  return null
}

/** Deeper rows could overflow the stack of what walks over them. */
export function isDeeperThan(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (limit === 0) return true
  return Object.values(value).some((item) => isDeeperThan(item, limit - 1))
}
