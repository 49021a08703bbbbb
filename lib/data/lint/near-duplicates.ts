// near_duplicates: rows that say nearly what an earlier row of the same side said (MinHash, as the filter of that name);
// exact copies are the rule `duplicates`.
import { SketchIndex, sketchOf } from '../minhash.js'
import { placeText } from '../types.js'
import type { LintRule } from './rule.js'

export const threshold = 0.8
export const ngram = 5

export const nearDuplicatesRule: LintRule = {
  name: 'near_duplicates',
  describe: 'a row says nearly what an earlier one said',
  remedy: 'leave them out with --filter near_duplicates',
  severity: 'warning',
  open({ placeOf }) {
    const open = () => ({ exact: new Set<number>(), sketches: new SketchIndex(threshold), rows: [] as number[] })
    const sides = { train: open(), validation: open() }
    return {
      row({ index, side, key, text }) {
        const seen = sides[side]
        if (seen.exact.has(key)) return null
        seen.exact.add(key)
        const sketch = sketchOf(text, ngram)
        if (sketch === null) return null
        const found = seen.sketches.find(sketch)
        if (found >= 0) return { message: `says nearly the same as ${placeText(placeOf(seen.rows[found] as number))}` }
        seen.rows[seen.sketches.add(sketch)] = index
        return null
      },
    }
  },
}
