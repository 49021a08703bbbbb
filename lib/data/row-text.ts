// What a row says, as one text: every text of a parsed row in order, whatever its kind. Filters, statistics and lint look at it.
import type { ParsedRow } from './formats/index.js'

/** Names of what a thing is, not what it says. */
const structural: ReadonlySet<string> = new Set(['kind', 'role', 'from', 'type', 'id', 'tool_call_id'])
const maxDepth = 64

/** Parts are apart by a newline; token ids are written as numbers. */
export function rowText(row: ParsedRow): string {
  const parts: string[] = []
  // An instruction is there twice: as a conversation and as one text.
  collect(row.kind === 'instruction' ? row.chat : row, parts, 0)
  return parts.length === 1 ? (parts[0] as string) : parts.join('\n')
}

function collect(value: unknown, parts: string[], depth: number): void {
  if (typeof value === 'string') parts.push(value)
  else if (ArrayBuffer.isView(value)) parts.push((value as Int32Array).join(' '))
  else if (typeof value === 'object' && value !== null && depth < maxDepth) {
    if (Array.isArray(value)) for (const item of value) collect(item, parts, depth + 1)
    else for (const [name, item] of Object.entries(value)) if (!(depth === 0 && name === 'exact') && (!structural.has(name) || typeof item !== 'string')) collect(item, parts, depth + 1)
  }
}
