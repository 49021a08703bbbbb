// exact_duplicates: rows that say, byte for byte, what an earlier row of the same side said. The first one stays.
import { KeySet, keyOfText } from '../key-set.js'
import type { FilterKind, Side } from './filter.js'

export const exactDuplicatesFilter: FilterKind = {
  name: 'exact_duplicates',
  describe: 'rows that say the same as an earlier one; the first stays',
  open() {
    const seen: Record<Side, KeySet> = { train: new KeySet(), validation: new KeySet() }
    return { row: ({ text, parsed, side }) => (seen[side].add(...keyOfText(`${parsed.kind}\n${text}`)) ? null : 'said by an earlier row') }
  },
}
