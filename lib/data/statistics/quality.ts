// What can be said of a text without knowing its language: shares of kinds of characters, repetition, and what looks broken.
import { isControl } from '../filters/control-characters.js'
import { repetitionOf } from '../filters/repetition.js'

/** Longer texts are judged by their first part. */
const judged = 20_000
const fewestWords = 50
/** Of UTF-16 units; halves of surrogate pairs (emoji, rare scripts) are of no class. */
const classes = { other: 0, letter: 1, digit: 2, space: 3, control: 4 } as const

let table: Uint8Array | undefined

function classTable(): Uint8Array {
  return (table ??= Uint8Array.from({ length: 0x1_0000 }, (_, code) => {
    const character = String.fromCharCode(code)
    if (isControl(code)) return classes.control
    return /\s/.test(character) ? classes.space : /\p{L}/u.test(character) ? classes.letter : /\p{N}/u.test(character) ? classes.digit : classes.other
  }))
}

export interface TextQuality {
  /** Control and replacement characters. */
  controls: number
  /** More than 30 % of it in repeated lines or groups of ten words, of 50 words or more. */
  repetitive: boolean
  letters: number
  digits: number
  spaces: number
  characters: number
}

export function qualityOf(text: string): TextQuality {
  const head = text.length > judged ? text.slice(0, judged) : text
  const table = classTable()
  const counts = [0, 0, 0, 0, 0]
  let words = 0
  let before = 0
  for (let i = 0; i < head.length; i++) {
    const kind = table[head.charCodeAt(i)] as number
    counts[kind]!++
    if (kind !== before && (kind === classes.letter || kind === classes.digit)) words++
    before = kind
  }
  const [, letters = 0, digits = 0, spaces = 0, controls = 0] = counts
  return { controls, repetitive: words >= fewestWords && isRepetitive(head), letters, digits, spaces, characters: head.length }
}

function isRepetitive(text: string): boolean {
  const { words, lineShare, ngramShare } = repetitionOf(text, 10)
  return words >= fewestWords && (lineShare > 0.3 || ngramShare > 0.3)
}
