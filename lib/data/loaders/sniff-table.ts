// Whether a text is a table by its beginning: a header of names, and rows that all have as many cells. Prose with a comma in each line is
// none, because its first line names nothing.
import { cellCounts, detectDelimiter, sampledCharacters } from './csv-delimiter.js'

const delimiterNames: Readonly<Record<string, string>> = { ',': 'commas', ';': 'semicolons', '|': 'bars', '\t': 'tabs' }
/** "text", "user_id", "Score (%)", 'a "quoted" name' is none. */
const columnName = /^"?[\p{L}\p{N}_$#@][\p{L}\p{N}_$#@ .:/()%-]{0,63}"?$/u
const mostWords = 4

/** Why the head is a table that one of these parts, or false. */
export function recogniseTable(delimiters: readonly string[], head: Uint8Array, whole: boolean): string | false {
  const text = Buffer.from(head).toString('utf8')
  const delimiter = detectDelimiter(text)
  if (!delimiters.includes(delimiter)) return false
  const counts = cellCounts(text.slice(0, sampledCharacters), delimiter, whole && text.length <= sampledCharacters)
  const [columns = 1] = counts
  if (columns < 2 || counts.length < 2 || counts.some((count) => count !== columns)) return false
  if (!namesColumns(text.trimStart(), delimiter)) return false
  return `its first ${counts.length} rows have ${columns} cells each, parted by ${delimiterNames[delimiter] ?? delimiter}`
}

/** The first of them may be empty: an index has no name. */
function namesColumns(text: string, delimiter: string): boolean {
  const header = (text.split('\n', 1)[0] as string).trimEnd().split(delimiter)
  return header.every((name, i) => (i === 0 && name === '') || (columnName.test(name) && name.trim().split(/\s+/).length <= mostWords && !/[.:]$/.test(name)))
}
