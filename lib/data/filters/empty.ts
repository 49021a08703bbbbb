// empty: rows that say nothing, and rows whose answer does not.
import type { FilterKind } from './filter.js'

export const emptyFilter: FilterKind = {
  name: 'empty',
  describe: 'rows without any visible character, and answers without one',
  open: () => ({
    row({ parsed, text }) {
      if (!/\S/.test(text)) return 'nothing in it'
      const pair = parsed.kind === 'instruction' ? parsed.pair : parsed
      return pair.kind === 'pair' && !/\S/.test(pair.completion) ? 'an empty completion' : null
    },
  }),
}
