// DatasetLinter: every lint rule over the rows as they pass. Findings are counted, and the first of each rule kept, so that
// memory does not grow with faults; two rules keep some bytes a row to find copies.
import type { SourceRow } from './rows.js'
import { lintRules, type Finding, type LintRule, type Severity } from './lint/index.js'
import type { Side } from './filters/index.js'
import { numberOfText } from './key-set.js'
import { rowText } from './row-text.js'
import type { TextTokenizer } from './tokenizer/index.js'
import type { EncodedRow, RowPlace } from './types.js'

export interface LintFinding {
  rule: string
  severity: Severity
  /** null: all of the data. */
  file: string | null
  line: number | null
  /** What is wrong, never what the row says. */
  message: string
  remedy: string
}

export interface LintRuleReport {
  rule: string
  describe: string
  errors: number
  warnings: number
  /** The first of them. */
  findings: LintFinding[]
}

export interface LintReport {
  rows: number
  errors: number
  warnings: number
  /** Of each rule that was run. */
  rules: LintRuleReport[]
  /** Rules that need a tokenizer, where there was none. */
  notRun: string[]
}

export interface LinterOptions {
  /** null: rules that need tokens are not run. */
  tokenizer: TextTokenizer | null
  maxSeqLength: number
  /** What ends an answer is learned. Default true. */
  endOfTurn?: boolean
  /** Findings of a rule that are kept. Default 20. */
  keep?: number
}

export class DatasetLinter {
  readonly #checks: readonly { rule: LintRule; check: ReturnType<LintRule['open']>; report: LintRuleReport }[]
  readonly #bad: LintRuleReport = { rule: 'bad_rows', describe: 'a row cannot be read', errors: 0, warnings: 0, findings: [] }
  readonly #notRun: string[]
  readonly #files: string[] = []
  readonly #numbers = new Map<string, number>()
  readonly #places: number[] = []
  readonly #keep: number
  #rows = 0

  constructor({ tokenizer, maxSeqLength, endOfTurn = true, keep = 20 }: LinterOptions) {
    this.#keep = keep
    const runs = (rule: LintRule): boolean => tokenizer !== null || rule.needsTokens !== true
    const context = { tokenizer, maxSeqLength, endOfTurn, placeOf: (index: number): RowPlace => this.#placeOf(index) }
    this.#checks = lintRules.filter(runs).map((rule) => ({ rule, check: rule.open(context), report: { rule: rule.name, describe: rule.describe, errors: 0, warnings: 0, findings: [] } }))
    this.#notRun = lintRules.filter((rule) => !runs(rule)).map(({ name }) => name)
  }

  /** The next row. @param encoded before truncation; null without tokens */
  row(source: SourceRow, encoded: EncodedRow | null, side: Side = 'train'): void {
    const index = this.#rows++
    this.#remember(source.place)
    const text = rowText(source.row)
    const row = { index, side, source, text, key: numberOfText(`${source.row.kind}\n${text}`), encoded }
    for (const { rule, check, report } of this.#checks) {
      const finding = check.row?.(row) ?? null
      if (finding !== null) this.#note(report, rule, { place: source.place, ...finding })
    }
  }

  /** A row that could not be used. @param source it, where it could be read: rules that look at rows alone may know why it became no tokens */
  badRow(place: RowPlace, message: string, remedy: string, source?: SourceRow): void {
    this.#note(this.#bad, { name: 'bad_rows', remedy, severity: 'error' }, { place, message })
    if (source === undefined) return
    const row = { index: -1, side: 'train', source, text: rowText(source.row), key: 0, encoded: null } as const
    for (const { rule, check, report } of this.#checks) {
      const finding = rule.rowAlone === true ? (check.row?.(row) ?? null) : null
      if (finding !== null) this.#note(report, rule, { place, ...finding })
    }
  }

  /** @param held rows that are held out, by number */
  end(held: ReadonlySet<number>): LintReport {
    for (const { rule, check, report } of this.#checks) for (const finding of check.end?.(held) ?? []) this.#note(report, rule, finding)
    const rules = [this.#bad, ...this.#checks.map(({ report }) => report)]
    const sum = (of: 'errors' | 'warnings'): number => rules.reduce((all, rule) => all + rule[of], 0)
    return { rows: this.#rows, errors: sum('errors'), warnings: sum('warnings'), rules, notRun: this.#notRun }
  }

  #note(report: LintRuleReport, { name: rule, remedy, severity: usual }: Pick<LintRule, 'name' | 'remedy' | 'severity'>, { message, severity = usual, place }: Finding): void {
    report[severity === 'error' ? 'errors' : 'warnings']++
    // What concerns all of the data comes first, and is never crowded out.
    const all = place === null || place === undefined
    const finding: LintFinding = { rule, severity, file: all ? null : place.file, line: all ? null : place.line, message, remedy }
    if (all) report.findings.unshift(finding)
    else if (report.findings.length < this.#keep) report.findings.push(finding)
  }

  /** A file's number, a line and whether it is a row's number in one double: 20, 32 and 1 bits. */
  #remember({ file, line, row }: RowPlace): void {
    let number = this.#numbers.get(file)
    if (number === undefined) this.#numbers.set(file, (number = this.#files.push(file) - 1))
    this.#places.push(number * 2 ** 33 + 2 * line + Number(row ?? false))
  }

  #placeOf(index: number): RowPlace {
    const packed = this.#places[index] as number
    const place = { file: this.#files[Math.floor(packed / 2 ** 33)] as string, line: Math.floor((packed % 2 ** 33) / 2) }
    return packed % 2 === 1 ? { ...place, row: true } : place
  }
}
