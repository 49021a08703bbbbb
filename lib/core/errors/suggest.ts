// "Did you mean …": the nearest known names to a misspelled one, by Damerau-Levenshtein distance
// (optimal string alignment: insert, delete, replace, swap of neighbours).

/** Names longer than this are not compared: the distance costs length × length. */
const maxLength = 64

export function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(previous, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let best = Math.min(at(previous, j) + 1, at(current, j - 1) + 1, replaced)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, at(beforePrevious, j - 2) + 1)
      current.push(best)
    }
    beforePrevious = previous
    previous = current
  }
  return at(previous, b.length)
}

/** Known names close to `name`, nearest first; empty when none is. Case, `-` and `_` do not count. */
export function suggest(name: string, known: Iterable<string>, count = 1): string[] {
  if (name.length > maxLength) return []
  const wanted = fold(name)
  const limit = Math.max(1, Math.floor(wanted.length / 3))
  const scored: { name: string; distance: number }[] = []
  for (const candidate of known) {
    const folded = fold(candidate)
    let distance = editDistance(wanted, folded)
    // "rate" for "learning_rate": a whole word of the known name is close, though many letters away.
    if (distance > limit && wanted.length >= 3 && candidate.split(/[-_.]/).includes(wanted)) distance = limit
    if (distance <= limit) scored.push({ name: candidate, distance })
  }
  scored.sort((a, b) => a.distance - b.distance)
  return scored.slice(0, count).map((entry) => entry.name)
}

/** `did you mean "x"?`, or what is known when nothing is close. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const names = [...known]
  const [nearest] = suggest(name, names)
  if (nearest !== undefined) return `did you mean "${nearest}"?`
  return names.length === 0 ? 'none is known' : `known: ${names.slice(0, 40).join(', ')}${names.length > 40 ? ' …' : ''}`
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '')
}

/** Index known to be inside the row. */
function at(row: number[], index: number): number {
  return row[index] as number
}
