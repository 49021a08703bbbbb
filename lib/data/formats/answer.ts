// A prompt or an answer of preference data: a text, or turns of a conversation.
import { kindOf } from '../loaders/parse-row.js'
import { findBrokenText, type Answer } from './format.js'
import { readTurns } from './turns.js'

export type AnswerResult = { answer: Answer } | { problem: string }

export function readAnswer(value: unknown, path: string): AnswerResult {
  if (typeof value === 'string') {
    const broken = findBrokenText(value, path)
    return broken === null ? { answer: value } : { problem: broken }
  }
  if (!Array.isArray(value)) return { problem: `${path}: expected a text or a list of messages, got ${kindOf(value)}` }
  const turns = readTurns(value, path)
  return 'problem' in turns ? turns : { answer: turns.messages }
}

/** All of them are texts, or all conversations; else what is wrong. */
export function textsAlike(answers: Readonly<Record<string, Answer>>): string | null {
  const [first, ...others] = Object.entries(answers)
  const other = others.find(([, answer]) => (typeof answer === 'string') !== (typeof first?.[1] === 'string'))
  return other === undefined ? null : `${other[0]}: expected ${typeof first?.[1] === 'string' ? 'a text' : 'a list of messages'} as ${first?.[0] ?? ''} is`
}

/** '': none. */
export function readSystem(value: unknown): { text: string } | { problem: string } {
  if (value === null || value === undefined) return { text: '' }
  if (typeof value !== 'string') return { problem: `system: expected a text, got ${kindOf(value)}` }
  const broken = findBrokenText(value, 'system')
  return broken === null ? { text: value } : { problem: broken }
}

/** What comes first, with the system's words before it. */
export function withSystem(answer: Answer, system: string): Answer {
  if (system === '') return answer
  return typeof answer === 'string' ? `${system}\n\n${answer}` : [{ role: 'system', content: system }, ...answer]
}
