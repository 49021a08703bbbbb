// Faults of a configuration, collected so that one error names them all.
import { fail, type ErrorCode } from '../errors/index.js'

export interface Problem {
  code: ErrorCode
  /** Where and what. */
  message: string
  remedy: string
}

/** Throws one error for all problems; its code is that of the first. */
export function failWith(problems: readonly Problem[]): void {
  const [first, ...rest] = problems
  if (first === undefined) return
  if (rest.length === 0) fail(first.code, first.message, { remedy: first.remedy, details: { problems } })
  fail(first.code, `${problems.length} faults in the configuration\n${problems.map((problem) => `  ${problem.message}: ${problem.remedy}`).join('\n')}`, {
    remedy: first.remedy,
    details: { problems },
  })
}

/** A value in a message: short, on one line. */
export function shown(value: unknown): string {
  const text = typeof value === 'bigint' || typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`
}
