// length: rows shorter or longer than wanted, in characters (UTF-16) of what the row says or in tokens before truncation.
import type { FilterOptions } from '../../core/config/filters.js'
import type { FilterKind } from './filter.js'

export const lengthFilter: FilterKind = {
  name: 'length',
  describe: 'rows with fewer or more characters or tokens than the limits',
  open(options) {
    const { min_characters: fewest = 0, max_characters: most = Infinity, min_tokens: fewestTokens = 0, max_tokens: mostTokens = Infinity } = options as FilterOptions<'length'>
    return {
      row: ({ text }) => outside(text.length, fewest, most, 'characters'),
      // Absent where nobody asks for tokens.
      ...(fewestTokens === 0 && mostTokens === Infinity ? {} : { tokens: (length: number) => outside(length, fewestTokens, mostTokens, 'tokens') }),
    }
  },
}

function outside(length: number, fewest: number, most: number, unit: string): string | null {
  if (length < fewest) return `${length} ${unit}, fewer than ${fewest}`
  return length > most ? `${length} ${unit}, more than ${most}` : null
}
