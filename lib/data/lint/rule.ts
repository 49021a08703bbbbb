// What a lint rule is: one fault of data that a training run would not complain about. To add one: a file beside this one
// and a row in index.ts. Findings name a place and a reason, and never quote the row.
import type { RowPlace } from '../types.js'
import type { SourceRow } from '../rows.js'
import type { Side } from '../filters/index.js'
import type { TextTokenizer } from '../tokenizer/index.js'
import type { EncodedRow } from '../types.js'

/** error: the run would learn the wrong thing, or measure it wrongly. */
export type Severity = 'error' | 'warning'

export interface LintRow {
  /** 0, 1, 2 … in the order of the data. */
  index: number
  side: Side
  source: SourceRow
  /** What it says: see row-text.ts. */
  text: string
  /** 53 bits of a hash of its kind and text: rows that say the same have the same. */
  key: number
  /** Before truncation. null: the rows were not tokenized. */
  encoded: EncodedRow | null
}

export interface LintContext {
  /** null: rules that need tokens are not run. */
  tokenizer: TextTokenizer | null
  maxSeqLength: number
  /** What ends an answer is to be learned. */
  endOfTurn: boolean
  /** Where row `index` is. */
  placeOf(index: number): RowPlace
}

export interface Finding {
  message: string
  severity?: Severity
  /** Default: the row that was looked at; null: all of the data. */
  place?: RowPlace | null
}

export interface LintCheck {
  row?(row: LintRow): Finding | null
  /** All rows have been seen, and these are held out. */
  end?(held: ReadonlySet<number>): Iterable<Finding>
}

export interface LintRule {
  /** "split_leakage" */
  readonly name: string
  readonly describe: string
  readonly remedy: string
  /** Of its findings, where they say nothing else. */
  readonly severity: Severity
  /** It looks at tokens. */
  readonly needsTokens?: true
  /** It looks at each row by itself, also at those that become no tokens. */
  readonly rowAlone?: true
  open(context: LintContext): LintCheck
}
