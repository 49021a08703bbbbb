// duplicates: rows that say what an earlier row of the same side said: they weigh more than others, and memorise first.
import { placeText } from '../types.js'
import type { LintRule } from './rule.js'

export const duplicatesRule: LintRule = {
  name: 'duplicates',
  describe: 'a row says what an earlier one said',
  remedy: 'leave them out with --filter exact_duplicates',
  severity: 'warning',
  open({ placeOf }) {
    const first = { train: new Map<number, number>(), validation: new Map<number, number>() }
    return {
      row({ index, side, key }) {
        const earlier = first[side].get(key)
        if (earlier === undefined) first[side].set(key, index)
        return earlier === undefined ? null : { message: `says the same as ${placeText(placeOf(earlier))}` }
      },
    }
  },
}
