// truncation: rows longer than the window (warnings), and an error where more than 1 % of what is to be learned is cut, as
// training refuses it.
import { countSupervised, toleratedLoss } from '../types.js'
import type { LintRule } from './rule.js'

export const truncationRule: LintRule = {
  name: 'truncation',
  describe: 'a row is longer than the window',
  remedy: 'raise --max-seq-length, or shorten or split the row',
  severity: 'warning',
  needsTokens: true,
  open({ maxSeqLength }) {
    let all = 0
    let lost = 0
    return {
      row({ encoded }) {
        if (encoded === null) return null
        const supervised = countSupervised(encoded.labels)
        all += supervised
        if (encoded.inputIds.length <= maxSeqLength) return null
        const cut = supervised - countSupervised(encoded.labels.subarray(0, maxSeqLength))
        lost += cut
        return { message: `${encoded.inputIds.length} tokens, ${encoded.inputIds.length - maxSeqLength} are cut off, ${cut} of them with loss` }
      },
      *end() {
        if (lost > toleratedLoss * all) yield { place: null, severity: 'error', message: `${lost} of ${all} tokens with loss are cut off (${((100 * lost) / all).toFixed(2)} %): training refuses more than 1 %` }
      },
    }
  },
}
