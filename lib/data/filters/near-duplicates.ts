// near_duplicates: rows whose word n-grams are nearly those of an earlier row of the same side, by MinHash (minhash.ts). The
// first one stays. A pair at the threshold is found with a probability of 95 % or more, a closer one more surely.
import type { FilterOptions } from '../../core/config/filters.js'
import { SketchIndex, sketchOf } from '../minhash.js'
import type { FilterKind, Side } from './filter.js'

export const nearDuplicatesFilter: FilterKind = {
  name: 'near_duplicates',
  describe: 'rows that say nearly the same as an earlier one, by MinHash; the first stays',
  open(options) {
    const { threshold, ngram } = options as FilterOptions<'near_duplicates'>
    const seen: Record<Side, SketchIndex> = { train: new SketchIndex(threshold), validation: new SketchIndex(threshold) }
    return {
      row({ text, side }) {
        const sketch = sketchOf(text, ngram)
        if (sketch === null) return null
        if (seen[side].find(sketch) >= 0) return 'nearly said by an earlier row'
        seen[side].add(sketch)
        return null
      },
    }
  },
}
