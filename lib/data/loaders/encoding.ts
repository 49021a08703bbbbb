// The encoding of a text file: a byte-order mark says it, else UTF-8 where the bytes are UTF-8, else (tables and plain text)
// the best guess of chardet, which is logged. Everything goes on as UTF-8; nothing is ever replaced by U+FFFD unseen.
import { isUtf8 } from 'node:buffer'
import { fail } from '../../core/errors/index.js'
import { getLogger } from '../../utils/logger.js'
import { findLoneSurrogate, withoutCutCharacter } from '../text.js'
import { libraries } from './libraries.js'

export interface Detected {
  /** As iconv-lite names it; 'utf8' passes unchanged. */
  encoding: string
  /** Bytes of the byte-order mark. */
  mark: number
  guessed: boolean
}

const marks: readonly (readonly [string, readonly number[]])[] = [
  ['utf8', [0xef, 0xbb, 0xbf]],
  ['utf32le', [0xff, 0xfe, 0, 0]],
  ['utf32be', [0, 0, 0xfe, 0xff]],
  ['utf16le', [0xff, 0xfe]],
  ['utf16be', [0xfe, 0xff]],
]
/** Below it chardet's first answer is no better than its second. */
const leastConfidence = 10
const looked = 1 << 16

/** `guess`: ask chardet where the bytes are no Unicode. */
export function detectEncoding(head: Buffer, guess: boolean): Detected {
  for (const [encoding, mark] of marks) if (mark.every((byte, i) => head[i] === byte)) return { encoding, mark: mark.length, guessed: false }
  const wide = wideEncoding(head)
  if (wide !== null) return { encoding: wide, mark: 0, guessed: false }
  const sample = head.subarray(0, looked)
  if (!guess || isUtf8(withoutCutCharacter(sample)) || isBrokenUtf8(sample)) return { encoding: 'utf8', mark: 0, guessed: false }
  const iconv = libraries.iconv()
  const [best] = libraries.chardet().analyse(sample).filter(({ name, confidence }) => confidence >= leastConfidence && iconv.encodingExists(name) && !/^utf/i.test(name))
  // Every Latin-1 text of the real world is windows-1252, as browsers read it.
  const name = best === undefined || best.name === 'ISO-8859-1' ? 'windows-1252' : best.name
  return { encoding: name, mark: 0, guessed: true }
}

/** UTF-16 without a mark: text that begins with an ASCII character has a NUL beside it. */
function wideEncoding(head: Buffer): string | null {
  if (head.length < 4 || head.length % 2 !== 0 && head.length < looked) return null
  const pairs = Math.min(32, head.length >> 1)
  let high = 0
  let low = 0
  for (let i = 0; i < pairs; i++) {
    if (head[2 * i] === 0) high++
    if (head[2 * i + 1] === 0) low++
  }
  if (low > pairs * 0.7 && high === 0) return 'utf16le'
  return high > pairs * 0.7 && low === 0 ? 'utf16be' : null
}

/** UTF-8 with faults, and not another encoding: most of its multi-byte characters are whole. */
function isBrokenUtf8(bytes: Buffer): boolean {
  let whole = 0
  let broken = 0
  for (let i = 0; i < bytes.length; ) {
    const byte = bytes[i] as number
    if (byte < 0x80) {
      i++
      continue
    }
    const width = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 0
    if (width > 0 && isUtf8(bytes.subarray(i, i + width)) && i + width <= bytes.length) {
      whole++
      i += width
    } else {
      if (i + width <= bytes.length || width === 0) broken++
      i++
    }
  }
  return whole > broken
}

/** Errors: FT_INVALID_CONFIG. */
export function checkEncoding(encoding: string): string {
  if (libraries.iconv().encodingExists(encoding)) return encoding
  return fail('FT_INVALID_CONFIG', `dataset.encoding: there is no encoding ${JSON.stringify(encoding)}`, { remedy: 'for example utf-8, utf-16le, windows-1252, shift_jis, gb18030' })
}

export function isUnicode8(encoding: string): boolean {
  return /^utf-?8$/i.test(encoding)
}

export function noteGuess(file: string, encoding: string): void {
  getLogger().warn(`${file} is not UTF-8; it is read as ${encoding}. If that is wrong, name its encoding with --encoding`)
}

/** Text of another encoding as UTF-8. Errors: FT_DATASET where the bytes are not of this encoding. */
export async function* transcode(file: string, chunks: AsyncIterable<Buffer>, encoding: string): AsyncGenerator<Buffer> {
  const decoder = libraries.iconv().getDecoder(encoding, { stripBOM: true })
  const unicode = /^(?:utf|ucs)/i.test(encoding)
  let line = 1
  let carried = ''
  const check = (text: string): Buffer => {
    const fault = unicode ? findLoneSurrogate(text) : text.indexOf('\ufffd')
    if (fault >= 0) {
      fail('FT_DATASET', `${file}:${line + countLines(text.slice(0, fault))}: ${unicode ? 'half a surrogate pair' : `bytes that are not ${encoding}`}`, {
        remedy: 'repair the file, or name its encoding with --encoding', details: { path: file, encoding },
      })
    }
    line += countLines(text)
    return Buffer.from(text)
  }
  for await (const chunk of chunks) {
    let text = carried + decoder.write(chunk)
    carried = ''
    const last = text.charCodeAt(text.length - 1)
    if (last >= 0xd800 && last <= 0xdbff) {
      carried = text.slice(-1)
      text = text.slice(0, -1)
    }
    if (text !== '') yield check(text)
  }
  const rest = carried + (decoder.end() ?? '')
  if (rest !== '') yield check(rest)
}

function countLines(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++
  return count
}
