// What a run's numbers depend on, kept with every checkpoint: a resumed run must have the same, or it would not repeat
// the run it continues. Differences are shown as a table.
import { makeError, type FineTuneError } from '../../core/errors/index.js'

export type InputValue = string | number | boolean | null
/** Dotted snake_case keys, as in configuration files. */
export type RunInputs = Record<string, InputValue>

export interface InputDifference {
  key: string
  checkpoint: InputValue | undefined
  now: InputValue | undefined
}

/** Inputs that follow from others, by key. */
export type ImpliedInputs = Readonly<Record<string, readonly string[]>>

/** What somebody changed: a difference that follows from another one is left out. */
export function compareInputs(checkpoint: RunInputs, now: RunInputs, implied: ImpliedInputs = {}): InputDifference[] {
  const keys = [...new Set([...Object.keys(checkpoint), ...Object.keys(now)])].sort()
  const differs = (key: string): boolean => !Object.is(checkpoint[key], now[key])
  return keys
    .filter((key) => differs(key) && !(implied[key] ?? []).some(differs))
    .map((key) => ({ key, checkpoint: checkpoint[key], now: now[key] }))
}

/** A text table with one line a difference. */
export function differenceTable(differences: readonly InputDifference[]): string {
  const rows = [['input', 'checkpoint', 'now'], ...differences.map(({ key, checkpoint, now }) => [key, show(checkpoint), show(now)])]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd()).join('\n')
}

function show(value: InputValue | undefined): string {
  if (value === undefined) return '(not set)'
  if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return `${value.slice(0, 12)}…`
  return String(value)
}

export function mismatchError(checkpointPath: string, differences: readonly InputDifference[]): FineTuneError {
  const count = differences.length === 1 ? '1 input differs' : `${differences.length} inputs differ`
  return makeError('FT_RESUME_MISMATCH', `${checkpointPath} cannot be continued as it is: ${count} from the run that wrote it\n${differenceTable(differences)}`, {
    remedy: 'give the same inputs, or --force to go on with the new ones (the result is then not that of an uninterrupted run)',
    details: { checkpoint: checkpointPath, differences },
  })
}

/** An object's leaves as RunInputs; arrays and empty objects become one JSON text, undefined is left out. */
export function flatten(value: Readonly<Record<string, unknown>>, prefix: string): RunInputs {
  const flat: RunInputs = {}
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue
    const name = `${prefix}.${key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`
    if (item === null || typeof item === 'string' || typeof item === 'number' || typeof item === 'boolean') flat[name] = item
    else flat[name] = canonicalJson(item)
  }
  return flat
}

/** JSON with sorted keys, so that equal values have equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
