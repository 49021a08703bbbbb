// control_characters: rows with characters that no text has: C0 and C1 controls (but tab and line ends), DEL, U+FFFD where
// something was lost, and noncharacters.
import type { FilterOptions } from '../../core/config/filters.js'
import type { FilterKind } from './filter.js'


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
  for (let i = 0; i < text.length; i++) if (isControl(text.charCodeAt(i))) count++
  return count
}

/** Of a UTF-16 unit. */
export function isControl(code: number): boolean {
  if (code < 0x20) return code !== 0x09 && code !== 0x0a && code !== 0x0d
  return (code >= 0x7f && code < 0xa0) || code === 0xfffd || (code >= 0xfdd0 && code <= 0xfdef) || code >= 0xfffe
}
