// The table of lint rules, the most serious first. To add one: a file beside this one and a row here.
import { doubleBosRule } from './double-bos.js'
import { duplicatesRule } from './duplicates.js'
import { emptyRowsRule } from './empty-rows.js'
import { missingEndRule } from './missing-end.js'
import { nearDuplicatesRule } from './near-duplicates.js'
import { oddEncodingRule } from './odd-encoding.js'
import { roleOrderRule } from './role-order.js'
import type { LintRule } from './rule.js'
import { splitLeakageRule } from './split-leakage.js'
import { templateMismatchRule } from './template-mismatch.js'
import { truncationRule } from './truncation.js'
import { zeroLabelsRule } from './zero-labels.js'

export type { Finding, LintContext, LintRow, LintRule, Severity } from './rule.js'

export const lintRules: readonly LintRule[] = [
  splitLeakageRule, templateMismatchRule, doubleBosRule, missingEndRule, zeroLabelsRule, emptyRowsRule, roleOrderRule, truncationRule, oddEncodingRule, duplicatesRule, nearDuplicatesRule,
]
