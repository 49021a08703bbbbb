// missing_end: rows after which nothing that is learned says "stop": the model would go on and on. The last token with loss
// should be one that ends a turn or a text.
import { ignoreLabel } from '../types.js'
import type { LintRule } from './rule.js'

/** A template may put a line end or two behind its end-of-turn token. */
const lookedAt = 3

export const missingEndRule: LintRule = {
  name: 'missing_end',
  describe: 'no end token is learned at the end of a row',
  remedy: 'name eos_token in tokenizer_config.json, use a chat template that ends turns, or end tokenized rows with the token',
  severity: 'error',
  needsTokens: true,
  open({ tokenizer, endOfTurn }) {
    const ends = new Set(tokenizer?.stopTokenIds ?? [])
    return {
      row({ encoded, source }) {
        if (encoded === null || tokenizer === null || tokenizer.kind === 'none' || !endOfTurn) return null
        let seen = 0
        for (let t = encoded.labels.length - 1; t > 0 && seen < lookedAt; t--) {
          const label = encoded.labels[t] as number
          if (label === ignoreLabel) continue
          seen++
          if (ends.has(label) || tokenizer.isSpecial(label)) return null
        }
        if (seen === 0) return null
        return { message: 'the last tokens with loss are no end token', severity: source.row.kind === 'tokens' ? 'warning' : 'error' }
      },
    }
  },
}
