// zero_labels: rows of which no token carries loss, whole or once they are cut: nothing is learned from them.
import { countSupervised } from '../types.js'
import type { LintRule } from './rule.js'

export const zeroLabelsRule: LintRule = {
  name: 'zero_labels',
  describe: 'no token of a row carries loss',
  remedy: 'give it an answer, a turn of the assistant, or labels other than -100; where the prompt fills the window, raise --max-seq-length',
  severity: 'error',
  needsTokens: true,
  open: ({ maxSeqLength }) => ({
    row({ encoded }) {
      if (encoded === null) return null
      if (countSupervised(encoded.labels) === 0) return { message: 'no token carries loss' }
      return countSupervised(encoded.labels.subarray(0, maxSeqLength)) === 0 ? { message: `no token of the first ${maxSeqLength} carries loss` } : null
    },
  }),
}
