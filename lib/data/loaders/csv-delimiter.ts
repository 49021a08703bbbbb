// The delimiter of a table, from its first rows: the one that parts all of them into the same number of cells, quotes
// taken into account.

const candidates = [',', '\t', ';', '|']
export const sampledRows = 50
export const sampledCharacters = 1 << 16

/** A comma where nothing parts the rows: a table of one column. */
export function detectDelimiter(text: string): string {
  const sample = text.slice(0, sampledCharacters)
  let best = { delimiter: ',', score: 0 }
  for (const delimiter of candidates) {
    const counts = cellCounts(sample, delimiter, text.length <= sampledCharacters)
    const columns = counts[0] ?? 1
    if (columns < 2) continue
    // Rows that agree with the header count most; of equals the delimiter that makes more columns.
    const score = counts.filter((count) => count === columns).length / counts.length + Math.min(columns, 1000) / 1e4
    if (score > best.score) best = { delimiter, score }
  }
  return best.delimiter
}

/** Cells of each row that is whole. @param complete the text has its end */
export function cellCounts(text: string, delimiter: string, complete: boolean): number[] {
  const counts: number[] = []
  let cells = 1
  let quoted = false
  let cellStart = true
  let empty = true
  for (let i = 0; i < text.length && counts.length < sampledRows; i++) {
    const character = text[i] as string
    if (quoted) {
      if (character === '"' && text[i + 1] === '"') i++
      else if (character === '"') quoted = false
    } else if (character === '"' && cellStart) {
      quoted = true
    } else if (character === '\n') {
      if (!empty) counts.push(cells)
      cells = 1
      cellStart = empty = true
      continue
    } else if (character === delimiter) {
      cells++
      cellStart = true
      empty = false
      continue
    }
    if (character !== '\r') empty = false
    cellStart = false
  }
  if (complete && !empty && !quoted && counts.length < sampledRows) counts.push(cells)
  return counts
}
