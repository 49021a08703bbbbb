// How an error looks to a person and to a program: what and where, the remedy, the code. The stack and
// the chain of causes are for --verbose only. Secrets are removed from both.
import { redact } from '../redact.js'
import type { FineTuneError } from './classes.js'
import { toFineTuneError } from './make.js'

/** The last line of stdout under --json. */
export interface ErrorEvent {
  event: 'error'
  code: string
  message: string
  remedy: string
}

/** The exit code of the process for anything thrown. */
export function exitCodeOf(error: unknown): number {
  return toFineTuneError(error).exitCode
}

export function errorEvent(error: unknown): ErrorEvent {
  const { code, message, remedy } = toFineTuneError(error)
  return { event: 'error', code, message: redact(message), remedy: redact(remedy) }
}

/** Text for stderr, without a final newline. */
export function describeError(error: unknown, options: { verbose?: boolean } = {}): string {
  const known = toFineTuneError(error)
  const lines = [`error: ${known.message}`]
  if (known.remedy) lines.push(`remedy: ${known.remedy}`)
  lines.push(`code: ${known.code}`)
  if (options.verbose) lines.push(...verboseLines(known))
  return redact(lines.join('\n'))
}

function verboseLines(error: FineTuneError): string[] {
  const lines: string[] = []
  if (Object.keys(error.details).length > 0) lines.push(`details: ${safeJson(error.details)}`)
  if (error.stack) lines.push(error.stack)
  let cause: unknown = error.cause
  for (let depth = 0; cause !== undefined && depth < 8; depth++) {
    lines.push(`caused by: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`)
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return lines
}

function safeJson(value: unknown): string {
  const seen = new WeakSet<object>()
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === 'bigint') return String(item)
    if (typeof item !== 'object' || item === null) return item
    if (seen.has(item)) return '[again]'
    seen.add(item)
    return item
  })
}
