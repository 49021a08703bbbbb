// Whether a text is JSON by its beginning, and which kind: one object a line, or anything else. Text that only begins with a brace or a
// bracket ("[INST] …", "{title} …") is neither; what is meant as JSON and broken is, so that the loader says where.
import { headBytes } from './bytes.js'

/** Columns whose value in one row is an array, so that an object which has one may be a row. */
export const arrayColumns: ReadonlySet<string> = new Set([
  'messages', 'conversations', 'conversation', 'input_ids', 'labels', 'attention_mask', 'token_type_ids', 'chosen', 'rejected', 'prompt', 'completion', 'completions', 'history',
  'tools', 'steps',
])

interface Found {
  format: 'json' | 'jsonl'
  why: string
}

/** Why the head is JSON of this kind, or false. */
export function recogniseJson(format: Found['format'], head: Uint8Array, whole: boolean): string | false {
  const found = kindOfJson(Buffer.from(head.subarray(0, headBytes)).toString('utf8').trimStart(), whole)
  return found?.format === format && found.why
}

function kindOfJson(text: string, whole: boolean): Found | null {
  if (/^\[\s*\{/.test(text)) return { format: 'json', why: 'it begins with a JSON array of objects' }
  // Rows must be objects; the loader says so.
  if (/^\[\s*(?:"(?:[^"\\\n]|\\.)*"\s*[,\]]|[[\]])/.test(text) && (!whole || parses(text))) return { format: 'json', why: 'it begins with a JSON array' }
  // A quote of Python's is meant as JSON too.
  if (!/^\{\s*["'}]/.test(text)) return null
  const end = text.indexOf('\n')
  if (end < 0 && !whole) return longLine(text)
  const line = (end < 0 ? text : text.slice(0, end)).trim()
  const rest = end < 0 ? '' : text.slice(end).trimStart()
  if (parses(line)) return rest === '' && whole ? { format: 'json', why: 'it is one JSON object' } : { format: 'jsonl', why: 'its first line is a JSON object' }
  const broken = line.endsWith('}') || (rest.startsWith('{') && !/[[{:,]$/.test(line))
  return broken ? { format: 'jsonl', why: 'its first line looks like a JSON object' } : { format: 'json', why: 'it begins with a JSON object of several lines' }
}

/** The end of the first line is not to be seen: a row, or an object of all rows or columns. */
function longLine(text: string): Found {
  const list = /^\{\s*"([^"\\]{1,64})"\s*:\s*\[/.exec(text)
  if (list !== null && !arrayColumns.has(list[1] as string)) return { format: 'json', why: 'it begins with a JSON object that holds a list' }
  return { format: 'jsonl', why: 'its first line begins like a JSON object' }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
