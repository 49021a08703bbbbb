// What the main thread and its tokenizing threads say to each other.
import type { EncodeResult } from '../encode.js'
import type { TrainOn } from '../masking.js'
import type { SourceRow } from '../rows.js'
import type { ChosenTemplate } from '../templates/choose.js'
import type { ErrorCode } from '../../core/errors/index.js'

export interface PoolSettings {
  /** The tokenizer's; every thread opens it for itself. */
  folder: string
  template: ChosenTemplate | null
  /** Milliseconds since 1970. */
  now: number
  trainOn: TrainOn
  endOfTurn: boolean
  vocabSize: number
}

/** A row as its encoder needs it: what it is and where it stands, without the columns it came from. */
export type PlainRow = Pick<SourceRow, 'row' | 'place'>

export type PoolRequest = { kind: 'encode'; id: number; rows: PlainRow[] } | { kind: 'end' }

export interface PlainError {
  /** undefined: no error of this package's. */
  code: ErrorCode | undefined
  message: string
  remedy: string | undefined
  details: Record<string, unknown>
}

export type PoolReply =
  | { kind: 'done'; id: number; results: EncodeResult[] }
  | { kind: 'failed'; id: number; error: PlainError }
  | { kind: 'ended' }
