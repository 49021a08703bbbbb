// What a row can be, and how the formats beside this file read it. A format turns a row into one of four kinds;
// encode.ts turns these into tokens and labels.
import { findLoneSurrogate } from '../text.js'
import type { Message } from '../templates/chat.js'
import type { RowValue } from '../types.js'
import { kindOf } from '../loaders/parse-row.js'
import type { z } from 'zod'

export type ParsedRow =
  /** Every token carries loss; an end-of-sequence token follows. */
  | { kind: 'text'; text: string }
  /** The completion carries loss; an end-of-sequence token follows. */
  | { kind: 'pair'; prompt: string; completion: string }
  /** The assistant's turns carry loss; it ends as the template ends. */
  | { kind: 'chat'; messages: readonly Message[]; tools: readonly unknown[] | null }
  /** As it is. labels null: the ids themselves. */
  | { kind: 'tokens'; inputIds: Int32Array; labels: Int32Array | null }

export type ParseResult = ParsedRow | { problem: string }

export interface RowFormat {
  /** "prompt_completion" */
  readonly name: string
  /** For messages: "{prompt, completion}". */
  readonly shape: string
  /** Columns that make a row one of this format. */
  readonly columns: readonly string[]
  /** Columns that make it something else after all. */
  readonly unless?: readonly string[]
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
