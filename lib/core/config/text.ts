// Text from a flag or an environment variable as the value of a key. What does not fit stays text, so
// that the check of the value can name what was given.
import type { Kind } from './row.js'

const numeral = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const switches: Readonly<Record<string, boolean>> = { true: true, false: false, 1: true, 0: false, yes: true, no: false, on: true, off: false }

export function valueOfText(kind: Kind, text: string): unknown {
  switch (kind) {
    case 'integer':
    case 'number':
      return numeral.test(text.trim()) ? Number(text) : text
    case 'toggle':
      return switches[text.trim().toLowerCase()] ?? (/^\d+$/.test(text.trim()) ? Number(text) : text)
    case 'boolean':
      return switches[text.trim().toLowerCase()] ?? text
    case 'optional':
      return text === '' ? true : (switches[text.toLowerCase()] ?? text)
    case 'record':
      return jsonOr(text)
    case 'list':
      return text.trimStart().startsWith('[') ? jsonOr(text) : text
    case 'string':
    case 'choice':
    case 'names':
      return text
  }
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

const plainNames = /^[\w.-]+(?:\s*,\s*[\w.-]+)*$/

/** "q_proj,v_proj" and "q_proj" name modules; anything with a pattern's characters stays one pattern. */
export function splitNames(value: unknown): unknown {
  if (typeof value !== 'string') return value
  const text = value.trim()
  if (text === 'all-linear' || !plainNames.test(text)) return text
  return text.split(',').map((name) => name.trim())
}
