// The rules of TextColumnDetector, tried in order: what says most about itself first (conversations, token ids), one
// running text last. To add one: a function and its place in the table. A rule answers null where it does not apply.
import { quotedName } from '../../utils/printable.js'
import {
  chatNames, idsNames, inputNames, labelNames, lossNames, pairs, preferencePairs, promptWords, responseWords, systemNames, textNames, toolNames,
  type ColumnRole,
} from './names.js'
import type { ColumnKind, ColumnProfile } from './profile.js'

export interface Candidate {
  name: string
  /** As normalName has it. */
  normal: string
  profile: ColumnProfile
  kind: ColumnKind
}

export interface Finding {
  shape: string
  columns: Partial<Record<ColumnRole, string>>
  reasons: string[]
}

export type Rule = (candidates: readonly Candidate[], rows: number) => Finding | null

const readable: ReadonlySet<ColumnKind> = new Set(['prose', 'short text', 'categories'])
/** What an answer may be: "42", true, a path. */
const answers: ReadonlySet<ColumnKind> = new Set(['prose', 'short text', 'categories', 'identifiers', 'numbers', 'booleans'])
const chats: ReadonlySet<ColumnKind> = new Set(['conversations', 'shareGPT conversations'])
const any: ReadonlySet<ColumnKind> | null = null

export const rules: readonly Rule[] = [tokenized, preference, conversation, namedPair, pairByLastWord, namedText, onlyText, mostText]

function tokenized(candidates: readonly Candidate[]): Finding | null {
  const ids = byName(candidates, idsNames, new Set<ColumnKind>(['token ids']))
  if (ids === undefined) return null
  const found = start('tokenized', { input_ids: ids })
  return withOptional(found, candidates, { labels: [lossNames, new Set<ColumnKind>(['token ids'])], attention_mask: [['attention_mask'], new Set<ColumnKind>(['token ids'])] })
}

function preference(candidates: readonly Candidate[]): Finding | null {
  for (const kinds of [chats, answers]) {
    for (const [better, worse] of preferencePairs) {
      const chosen = byName(candidates, [better], kinds)
      const rejected = byName(candidates, [worse], kinds)
      if (chosen === undefined || rejected === undefined) continue
      const found = start('preference', { chosen, rejected })
      return withOptional(found, candidates, { prompt: [promptWords, kinds === chats ? new Set([...chats, ...readable]) : readable], system: [systemNames, readable] })
    }
  }
  return null
}

function conversation(candidates: readonly Candidate[], rows: number): Finding | null {
  const all = candidates.filter(({ kind, profile }) => chats.has(kind) && present(profile, rows))
  const chat = byName(all, chatNames, chats) ?? (all.length === 1 ? all[0] : undefined)
  if (chat === undefined) return null
  const role = chat.kind === 'conversations' ? 'messages' : 'conversations'
  const found: Finding = {
    shape: role === 'messages' ? 'messages' : 'sharegpt',
    columns: { [role]: chat.name },
    reasons: [`${quotedName(chat.name)} is the conversation: it holds lists of ${role === 'messages' ? '{role, content}' : '{from, value}'}`],
  }
  return withOptional(found, candidates, { tools: [toolNames, any], system: role === 'conversations' ? [systemNames, readable] : undefined })
}

function namedPair(candidates: readonly Candidate[], rows: number): Finding | null {
  for (const [prompt, response] of pairs) {
    const asks = byName(candidates, [prompt], readable)
    const says = byName(candidates, [response], answers)
    if (asks !== undefined && says !== undefined && present(asks.profile, rows) && present(says.profile, rows)) return pairOf(asks, says, candidates)
  }
  return null
}

/** "user_question" and "gpt4_answer": the last word says what it is. Of several, the longest text. */
function pairByLastWord(candidates: readonly Candidate[], rows: number): Finding | null {
  const ending = (words: readonly string[], kinds: ReadonlySet<ColumnKind>, except?: Candidate): Candidate | undefined => {
    for (const word of words) {
      const named = candidates.filter((one) => one !== except && kinds.has(one.kind) && present(one.profile, rows) && lastWord(one) === word)
      const [longest] = named.sort((a, b) => b.profile.meanCharacters - a.profile.meanCharacters)
      if (longest !== undefined) return longest
    }
    return undefined
  }
  const asks = ending(promptWords, new Set<ColumnKind>(['prose', 'short text']))
  const says = ending(responseWords, answers, asks)
  return asks === undefined || says === undefined ? null : pairOf(asks, says, candidates)
}

function pairOf(asks: Candidate, says: Candidate, candidates: readonly Candidate[]): Finding {
  const rest = candidates.filter((one) => one !== asks && one !== says)
  const label = byName(rest, labelNames, new Set<ColumnKind>(['booleans']))
  if (label !== undefined) return start('unpaired_preference', { prompt: asks, completion: says, label })
  const found = start('instruction', { instruction: asks, output: says })
  return withOptional(found, rest, { input: [inputNames, readable], system: [systemNames, readable] })
}

function namedText(candidates: readonly Candidate[], rows: number): Finding | null {
  const text = byName(candidates.filter(({ profile }) => present(profile, rows)), textNames, new Set<ColumnKind>(['prose']))
  return text === undefined ? null : start('text', { text })
}

function onlyText(candidates: readonly Candidate[], rows: number): Finding | null {
  const [only, ...more] = candidates.filter(({ kind, profile }) => kind === 'prose' && present(profile, rows))
  if (only === undefined || more.length > 0) return null
  return { shape: 'text', columns: { text: only.name }, reasons: [`${quotedName(only.name)} is the text: no other column holds running text (${content(only)})`] }
}

/** Among several texts one may be nearly all there is to read: a body beside its title. */
function mostText(candidates: readonly Candidate[], rows: number): Finding | null {
  const prose = candidates.filter(({ kind, profile }) => kind === 'prose' && present(profile, rows))
  const all = prose.reduce((sum, { profile }) => sum + profile.characters, 0)
  const most = prose.find(({ profile }) => profile.characters >= 0.9 * all)
  if (most === undefined) return null
  const share = Math.floor((100 * most.profile.characters) / all)
  return { shape: 'text', columns: { text: most.name }, reasons: [`${quotedName(most.name)} is the text: it holds ${share} % of all running text (${content(most)})`] }
}

type Optional = Partial<Record<ColumnRole, readonly [names: readonly string[], kinds: ReadonlySet<ColumnKind> | null] | undefined>>

function withOptional(found: Finding, candidates: readonly Candidate[], wanted: Optional): Finding {
  const used = new Set(Object.values(found.columns))
  for (const [role, row] of Object.entries(wanted) as [ColumnRole, Optional[ColumnRole]][]) {
    const one = row === undefined ? undefined : byName(candidates.filter(({ name }) => !used.has(name)), ...row)
    if (one === undefined || Object.hasOwn(found.columns, role)) continue
    found.columns[role] = one.name
    found.reasons.push(reason(role, one))
  }
  return found
}

function start(shape: string, parts: Partial<Record<ColumnRole, Candidate>>): Finding {
  const entries = Object.entries(parts) as [ColumnRole, Candidate][]
  return { shape, columns: Object.fromEntries(entries.map(([role, one]) => [role, one.name])), reasons: entries.map(([role, one]) => reason(role, one)) }
}

/** The first name that a column of one of these kinds has; of columns that differ in spelling alone, the first. */
function byName(candidates: readonly Candidate[], names: readonly string[], kinds: ReadonlySet<ColumnKind> | null): Candidate | undefined {
  for (const name of names) {
    const found = candidates.find((one) => (kinds === null ? one.kind !== 'empty' : kinds.has(one.kind)) && one.normal === name)
    if (found !== undefined) return found
  }
  return undefined
}

/** Most rows have it. */
function present(profile: ColumnProfile, rows: number): boolean {
  return profile.filled >= 0.5 * rows
}

function lastWord({ normal }: Candidate): string {
  return normal.slice(normal.lastIndexOf('_') + 1)
}

function reason(role: ColumnRole, one: Candidate): string {
  return `${quotedName(one.name)} is the ${role}: by its name and content (${content(one)})`
}

function content({ kind, profile }: Candidate): string {
  const length = profile.texts > 0 ? `, ${Math.round(profile.meanCharacters)} characters on average` : ''
  return `${kind} in ${profile.filled} of ${profile.rows} rows${length}`
}
