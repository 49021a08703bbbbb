// repetition: rows that say the same again and again, by the share of characters in repeated lines and of words in
// repeated n-grams (after Rae et al. 2021, appendix A1.1; no list of any language's words).
import type { FilterOptions } from '../../core/config/filters.js'
import { wordHashes } from '../minhash.js'
import type { FilterKind } from './filter.js'

export const repetitionFilter: FilterKind = {
  name: 'repetition',
  describe: 'rows with large shares of repeated lines or word n-grams',
  open(options) {
    const { max_lines: mostLines, max_ngrams: mostNgrams, ngram, min_words: fewestWords } = options as FilterOptions<'repetition'>
    return {
      row({ text }) {
        const { words, lineShare, ngramShare } = repetitionOf(text, ngram)
        if (words < fewestWords) return null
        if (lineShare > mostLines) return `${percent(lineShare)} of it in repeated lines`
        return ngramShare > mostNgrams ? `${percent(ngramShare)} of its words in repeated groups of ${ngram}` : null
      },
    }
  },
}

export interface Repetition {
  words: number
  /** Of the characters in lines, those in a line that stood there before. */
  lineShare: number
  /** Of the words, those in a group that stood there before. */
  ngramShare: number
}

export function repetitionOf(text: string, ngram: number): Repetition {
  const words = wordHashes(text)
  return { words: words.length, lineShare: lineShare(text), ngramShare: ngramShare(words, ngram) }
}

function lineShare(text: string): number {
  const seen = new Set<string>()
  let all = 0
  let repeated = 0
  for (const line of text.split('\n')) {
    const trimmed = line.trim()
    if (trimmed === '') continue
    all += trimmed.length
    if (seen.has(trimmed)) repeated += trimmed.length
    else seen.add(trimmed)
  }
  return all === 0 ? 0 : repeated / all
}

function ngramShare(words: readonly number[], ngram: number): number {
  const seen = new Set<number>()
  let repeated = 0
  let covered = 0
  for (let start = 0; start + ngram <= words.length; start++) {
    // 53 bits: two groups of one row hardly ever meet in one number.
    let [high, low] = [0, 0]
    for (let i = 0; i < ngram; i++) {
      low = (Math.imul(low ^ (words[start + i] as number), 0x85ebca6b) ^ (low >>> 15)) >>> 0
      high = (Math.imul(high ^ (words[start + i] as number), 0xc2b2ae35) ^ (high >>> 13)) >>> 0
    }
    const key = (high & 0x1f_ffff) * 0x1_0000_0000 + low
    if (seen.has(key)) {
      const from = Math.max(start, covered)
      repeated += start + ngram - from
      covered = start + ngram
    } else seen.add(key)
  }
  return words.length === 0 ? 0 : repeated / words.length
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`
}
