// control_characters: rows with characters that no text has: C0 and C1 controls (but tab and line ends), DEL, U+FFFD where
// something was lost, and noncharacters.
import type { FilterOptions } from '../../core/config/filters.js'
import type { FilterKind } from './filter.js'

const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffd\ufdd0-\ufdef\ufffe\uffff]/g

export const controlCharactersFilter: FilterKind = {
  name: 'control_characters',
  describe: 'rows with more than a share of control and replacement characters',
  open(options) {
    const { max_share: most } = options as FilterOptions<'control_characters'>
    return {
      row({ text }) {
        const count = countControls(text)
        return count > most * text.length ? `${count} control or replacement character${count === 1 ? '' : 's'}` : null
      },
    }
  },
}

export function countControls(text: string): number {
  let count = 0
  control.lastIndex = 0
  while (control.test(text)) count++
  return count
}
