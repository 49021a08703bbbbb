// Unicode helpers: UTF-8 checked strictly, lone surrogates, code-point offsets as UTF-16 offsets.
import { isUtf8 } from 'node:buffer'

const loneSurrogate = /\p{Surrogate}/u
const anySurrogate = /[\uD800-\uDFFF]/

/** Index of the first UTF-16 surrogate without its partner, or -1. No tokenizer and no UTF-8 file can hold one. */
export function findLoneSurrogate(text: string): number {
  return anySurrogate.test(text) ? text.search(loneSurrogate) : -1
}

/** The text, or the index of the first byte that is not UTF-8. */
export function decodeUtf8(bytes: Buffer): string | number {
  return isUtf8(bytes) ? bytes.toString('utf8') : firstInvalidByte(bytes)
}

/** Longest valid prefix by bisection: a prefix is valid up to a cut-off character at its end. */
function firstInvalidByte(bytes: Buffer): number {
  let valid = 0
  let invalid = bytes.length
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1
    if (isUtf8(withoutCutCharacter(bytes.subarray(0, middle)))) valid = middle
    else invalid = middle
  }
  // A character that is broken off is reported where it begins.
  return withoutCutCharacter(bytes.subarray(0, valid)).length
}

/** Drops up to three bytes at the end that begin a character which would go on. */
export function withoutCutCharacter(bytes: Buffer): Buffer {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number
    if ((byte & 0xc0) === 0x80) continue
    const width = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return width > back ? bytes.subarray(0, bytes.length - back) : bytes
  }
  return bytes
}

/**
 * Maps code-point offsets into `text` to UTF-16 offsets; null where they are the same.
 * [number of code points + 1]
 */
export function codePointToUtf16(text: string): Uint32Array | null {
  if (!anySurrogate.test(text)) return null
  const map = new Uint32Array(text.length + 1)
  let points = 0
  for (let i = 0; i < text.length; points++) {
    map[points] = i
    i += isLeadOfPair(text, i) ? 2 : 1
  }
  map[points] = text.length
  return map.subarray(0, points + 1)
}

/** Maps byte offsets into the UTF-8 of `text` to UTF-16 offsets; null where they are the same. [bytes + 1] */
export function byteToUtf16(text: string): Uint32Array | null {
  const bytes = Buffer.byteLength(text)
  if (bytes === text.length) return null
  const map = new Uint32Array(bytes + 1)
  let at = 0
  for (let i = 0; i < text.length; ) {
    const code = text.codePointAt(i) as number
    const width = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
    map.fill(i, at, at + width)
    at += width
    i += code > 0xffff ? 2 : 1
  }
  map[bytes] = text.length
  return map
}

export function countCodePoints(text: string): number {
  let points = 0
  for (let i = 0; i < text.length; i += isLeadOfPair(text, i) ? 2 : 1) points++
  return points
}

function isLeadOfPair(text: string, i: number): boolean {
  const code = text.charCodeAt(i)
  if (code < 0xd800 || code > 0xdbff || i + 1 >= text.length) return false
  const next = text.charCodeAt(i + 1)
  return next >= 0xdc00 && next <= 0xdfff
}
