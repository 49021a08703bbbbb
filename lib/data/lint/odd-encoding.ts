// odd_encoding: text that went through the wrong encoding somewhere: UTF-8 read as Latin-1 ("Ã©" for "é"), replacement characters,
// NUL and other controls, byte-order marks inside.
import { countControls } from '../filters/control-characters.js'
import type { LintRule } from './rule.js'

/** What UTF-8 of Latin letters, quotes, spaces and emoji looks like when it is read as Latin-1 or Windows-1252. */
const mojibake = /[ÃÂ][\u0080-\u00bf]|Ã[ƒ‚„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ€]|â€[\u0080-\u00bf™œžš“”˜¦¢]|ðŸ[\u0080-\u00bf˜’“”•]|Ã¼|ï»¿/

export const oddEncodingRule: LintRule = {
  name: 'odd_encoding',
  describe: 'a row holds NUL, replacement characters, or text read in the wrong encoding',
  remedy: 'read the source in its own encoding and write UTF-8 again; --filter control_characters leaves such rows out',
  severity: 'warning',
  rowAlone: true,
  open: () => ({
    row({ text, source }) {
      if (source.row.kind === 'tokens') return null
      if (text.includes('\0')) return { message: 'holds NUL', severity: 'error' }
      if (text.includes('\ufffd')) return { message: 'holds U+FFFD, where a character was lost' }
      if (mojibake.test(text)) return { message: 'holds what looks like UTF-8 read as another encoding' }
      if (text.includes('\ufeff')) return { message: 'holds a byte-order mark' }
      const controls = countControls(text)
      return controls > 0 ? { message: `holds ${controls} control character${controls === 1 ? '' : 's'}` } : null
    },
  }),
}
