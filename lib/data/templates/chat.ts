// The words of conversations, shared by the main process and the template worker.
import type { ExactNote } from '../exact.js'

export type Message = Readonly<Record<string, unknown>> & { readonly role: string }

export interface ChatJob {
  messages: readonly Message[]
  tools?: readonly unknown[] | null
  /** What {messages, tools} lose as JSON that JavaScript reads. */
  exact?: readonly ExactNote[]
  /** Ends with the opening of an assistant turn. */
  addGenerationPrompt?: boolean
  /** Also find what the assistant wrote. */
  spans?: boolean
  /** With spans: of which messages, whoever wrote them. Absent: of every one that the assistant wrote. */
  learned?: readonly boolean[]
  /** With spans: they end before the control token that ends the turn. */
  withoutEnds?: boolean
}

export interface RenderedChat {
  text: string
  /** UTF-16 positions that belong to data: no control token may cover one. Ascending; empty for most rows. */
  protectedPositions: number[]
  /** [begin, end) of every turn that was asked for, with its end-of-turn token unless that was not wanted; ascending. */
  spans: [number, number][]
  /** A turn had to be found by its content, because the template renders it differently once more turns follow. */
  unstable: boolean
}

/** `problem`: the template refused the conversation, or it cannot be masked. */
export type ChatResult = RenderedChat | { problem: string }

export interface WorkerSettings {
  template: string
  /** For conversations with tools; null: the same. */
  toolTemplate: string | null
  /** bos_token, eos_token … */
  variables: Record<string, string>
  controlTokens: string[]
  /** Milliseconds since 1970: what strftime_now calls now, so that a resumed run renders the same. */
  now: number
  maxCharacters: number
}

export type WorkerReply =
  | { kind: 'ready' }
  | { kind: 'broken'; reason: string }
  | { kind: 'result'; index: number; result: ChatResult }
