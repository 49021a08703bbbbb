// Text of other people on a terminal: what could move its cursor, colour it or reorder what is read is made visible.

/** C0 and C1 controls (ESC among them), DEL, line separators, marks that change the direction of what follows, lone surrogates. */
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu

/** On one line: controls as their pictures (␛), the others as U+FFFD. */
export function printable(text: string): string {
  return text.replaceAll(unsafe, pictureOf)
}

/** Line ends and tabs stay. */
export function printableLines(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(unsafe, (character) => (character === '\n' || character === '\t' ? character : pictureOf(character)))
}

/** A name of the data in a message: quoted, on one line, at most `most` characters. */
export function quotedName(name: string, most = 40): string {
  const characters = [...name.slice(0, 2 * most + 2)]
  const shown = characters.length > most ? `${characters.slice(0, most).join('')}…` : name
  return printable(JSON.stringify(shown))
}

function pictureOf(character: string): string {
  const code = character.codePointAt(0) as number
  if (code < 0x20) return String.fromCodePoint(0x2400 + code)
  return code === 0x7f ? '\u2421' : '\ufffd'
}
