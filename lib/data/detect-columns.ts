// TextColumnDetector: which shape rows of unknown columns have, and which column is what, from the names and the content of a
// sample. Every decision has a reason. Nothing fits, or two things fit equally well: FT_NO_TEXT_COLUMNS, with the columns it
// saw. Deterministic: the same sample gives the same answer.
import { fail } from '../core/errors/index.js'
import { quotedName } from '../utils/printable.js'
import { columnRoles, normalName, type ColumnRole } from './detect/names.js'
import { ColumnProfile } from './detect/profile.js'
import { rules, type Candidate, type Finding } from './detect/rules.js'
import type { RowValue } from './types.js'

export { columnRoles, type ColumnRole } from './detect/names.js'

/** Which column of the data stands for which column of a row shape: { prompt: 'frage', completion: 'antwort' }. */
export type ColumnMap = Readonly<Partial<Record<ColumnRole, string>>>

export interface ColumnDetection {
  /** "instruction": the columns decide which row format reads the row once they are renamed. */
  shape: string
  /** In the order of the shape's columns. */
  columns: ColumnMap
  /** One sentence a decision, with names of columns and without content of rows. */
  reasons: string[]
  /** Columns that are not used. */
  unused: string[]
}

export interface DetectOptions {
  /** Which column is what, instead of guessing. */
  columns?: ColumnMap
}

/** More rows make no better guess. */
export const sampleRows = 1000
/** Columns beyond these are not looked at: a row of a hostile file may have a million. */
const mostColumns = 1000
const shownColumns = 20

export class TextColumnDetector {
  readonly #profiles = new Map<string, ColumnProfile>()
  readonly #given: ColumnMap | undefined
  #rows = 0

  constructor(options: DetectOptions = {}) {
    this.#given = options.columns
    if (this.#given !== undefined) checkRoles(this.#given)
  }

  /** Looks at up to 1000 rows. Errors: FT_NO_TEXT_COLUMNS. */
  static detect(rows: Iterable<RowValue>, options: DetectOptions = {}): ColumnDetection {
    const detector = new TextColumnDetector(options)
    for (const row of rows) if (!detector.observe(row)) break
    return detector.detect()
  }

  /** False once the sample is full. */
  observe(row: RowValue): boolean {
    if (this.#rows >= sampleRows) return false
    this.#rows++
    for (const [name, value] of Object.entries(row)) {
      let profile = this.#profiles.get(name)
      if (profile === undefined) {
        if (this.#profiles.size >= mostColumns) continue
        this.#profiles.set(name, (profile = new ColumnProfile()))
      }
      profile.add(value)
    }
    return this.#rows < sampleRows
  }

  /** Errors: FT_NO_TEXT_COLUMNS. */
  detect(): ColumnDetection {
    const candidates = [...this.#profiles].map(([name, profile]): Candidate => ({ name, normal: normalName(name), profile, kind: profile.kind() }))
    if (this.#given !== undefined) return this.#asGiven(this.#given, candidates)
    for (const rule of rules) {
      const finding = rule(candidates, this.#rows)
      if (finding !== null) return this.#result(finding, candidates)
    }
    return this.#refuse(candidates)
  }

  #result({ shape, columns, reasons }: Finding, candidates: readonly Candidate[]): ColumnDetection {
    const used = new Set(Object.values(columns))
    return { shape, columns, reasons, unused: candidates.flatMap(({ name }) => (used.has(name) ? [] : [name])) }
  }

  #asGiven(given: ColumnMap, candidates: readonly Candidate[]): ColumnDetection {
    const known = new Map(candidates.map((candidate) => [candidate.name, candidate]))
    const columns: Partial<Record<ColumnRole, string>> = {}
    const reasons: string[] = []
    for (const role of columnRoles) {
      const name = Object.hasOwn(given, role) ? given[role] : undefined
      if (name === undefined) continue
      if (!known.has(name)) {
        fail('FT_NO_TEXT_COLUMNS', `dataset.columns: ${role} is ${quotedName(name)}, which no row has; the columns are ${listColumns(candidates)}`, {
          remedy: 'name a column that is there', details: { role, column: name, columns: namesOf(candidates) },
        })
      }
      columns[role] = name
      reasons.push(`${role} is ${quotedName(name)}, as dataset.columns says`)
    }
    return this.#result({ shape: 'given', columns, reasons }, candidates)
  }

  #refuse(candidates: readonly Candidate[]): never {
    const prose = candidates.filter(({ kind }) => kind === 'prose')
    const why =
      this.#rows === 0 ? 'there is no row to look at'
      : prose.length > 1 ? `several columns look like text (${listColumns(prose)}), and none is called as text, prompts or answers usually are`
      : 'no column looks like text'
    return fail('FT_NO_TEXT_COLUMNS', `the rows are no known shape, and what their columns mean is not clear: ${why}; the columns are ${describeColumns(candidates)}`, {
      remedy: 'say which column is what with dataset.columns, for example {"prompt": "…", "completion": "…"} or {"text": "…"}',
      details: { columns: namesOf(candidates), rows: this.#rows },
    })
  }
}

/**
 * The row with the columns that its shape knows, others left out. A number or truth value that stands for a text becomes
 * one; a column that is missing or null stays away.
 */
export function renameColumns(row: RowValue, columns: ColumnMap): RowValue {
  const renamed: Record<string, unknown> = {}
  for (const role of columnRoles) {
    const name = Object.hasOwn(columns, role) ? columns[role] : undefined
    if (name === undefined || !Object.hasOwn(row, name)) continue
    const value = row[name]
    renamed[role] = textRoles.has(role) && scalars.has(typeof value) ? String(value) : value
  }
  return renamed
}

const scalars: ReadonlySet<string> = new Set(['number', 'bigint', 'boolean'])
const textRoles: ReadonlySet<ColumnRole> = new Set(['text', 'prompt', 'completion', 'instruction', 'input', 'output', 'system'])

function checkRoles(columns: ColumnMap): void {
  for (const role of Object.keys(columns)) {
    if (!(columnRoles as readonly string[]).includes(role)) {
      fail('FT_INVALID_CONFIG', `dataset.columns: ${quotedName(role)} is nothing that a row has`, { remedy: `known: ${columnRoles.join(', ')}` })
    }
  }
}

function namesOf(candidates: readonly Candidate[]): string[] {
  return candidates.slice(0, shownColumns).map(({ name }) => name)
}

function listColumns(candidates: readonly Candidate[]): string {
  return listed(candidates, ({ name }) => quotedName(name))
}

function describeColumns(candidates: readonly Candidate[]): string {
  return listed(candidates, ({ name, kind }) => `${quotedName(name)} (${kind})`)
}

function listed(candidates: readonly Candidate[], describe: (candidate: Candidate) => string): string {
  if (candidates.length === 0) return '(none)'
  const more = candidates.length - shownColumns
  return `${candidates.slice(0, shownColumns).map(describe).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
