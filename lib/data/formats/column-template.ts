// dataset.template: a text with columns in braces, "### {title}\n{body}"; {{ and }} are braces, \n and \t what they usually are. One template makes a text that
// carries loss as a whole; a prompt and a completion make what {prompt, completion} makes. Nothing in a template is code.
import { fail } from '../../core/errors/index.js'
import type { RowValue } from '../types.js'
import type { ParseResult } from './format.js'
import { readColumn, type ColumnStrategy } from './strategies.js'

export type TemplateConfig = string | { readonly prompt: string; readonly completion: string }

type Piece = { text: string } | { column: string }

/** Columns that hold null are written as nothing; columns that a row lacks are a problem of the row. */
export class TemplateStrategy implements ColumnStrategy {
  readonly name = 'template'
  readonly columns: readonly string[]
  readonly #parts: { prompt: Piece[] | null; completion: Piece[] }

  /** Errors: FT_INVALID_CONFIG. */
  constructor(template: TemplateConfig) {
    const texts = typeof template === 'string' ? { completion: template } : template
    const prompt = 'prompt' in texts ? parseTemplate(texts.prompt) : null
    this.#parts = { prompt, completion: parseTemplate(texts.completion) }
    const pieces = [...(prompt ?? []), ...this.#parts.completion]
    this.columns = [...new Set(pieces.flatMap((piece) => ('column' in piece ? [piece.column] : [])))]
    if (this.columns.length === 0) {
      fail('FT_INVALID_CONFIG', 'dataset.template names no column: every row would be the same text', { remedy: 'put columns in braces, as in "### {title}\\n{body}"' })
    }
  }

  parse(row: RowValue): ParseResult {
    const completion = fill(this.#parts.completion, row)
    if ('problem' in completion) return completion
    if (this.#parts.prompt === null) return { kind: 'text', text: completion.text }
    const prompt = fill(this.#parts.prompt, row)
    return 'problem' in prompt ? prompt : { kind: 'pair', prompt: prompt.text, completion: completion.text }
  }
}

function fill(pieces: readonly Piece[], row: RowValue): { text: string } | { problem: string } {
  let text = ''
  for (const piece of pieces) {
    if ('text' in piece) {
      text += piece.text
      continue
    }
    const read = Object.hasOwn(row, piece.column) ? readColumn(row, piece.column, { required: false }) : readColumn(row, piece.column)
    if ('problem' in read) return read
    text += read.text
  }
  return { text }
}

/** As a shell passes them on: a line end in a flag is written \\n. */
const escapes: ReadonlyMap<string, string> = new Map([['n', '\n'], ['t', '\t'], ['\\', '\\']])

export function unescape(text: string): string {
  return text.replaceAll(/\\([nt\\])/g, (_, one: string) => escapes.get(one) as string)
}

function parseTemplate(template: string): Piece[] {
  const pieces: Piece[] = []
  let text = ''
  for (let i = 0; i < template.length; i++) {
    const one = template[i] as string
    const escaped = one === '\\' ? escapes.get(template[i + 1] ?? '') : undefined
    if (escaped !== undefined) {
      text += escaped
      i++
    } else if ((one === '{' || one === '}') && template[i + 1] === one) {
      text += one
      i++
    } else if (one === '{') {
      const end = template.indexOf('}', i)
      const column = end < 0 ? '' : template.slice(i + 1, end)
      if (column === '' || column.includes('{')) return broken(i)
      if (text !== '') pieces.push({ text })
      text = ''
      pieces.push({ column })
      i = end
    } else if (one === '}') {
      return broken(i)
    } else {
      text += one
    }
  }
  return text === '' ? pieces : [...pieces, { text }]
}

function broken(position: number): never {
  return fail('FT_INVALID_CONFIG', `dataset.template has a single brace at position ${position + 1}`, {
    remedy: 'columns stand in braces, as in "### {title}\\n{body}"; write {{ or }} for a brace that is text',
  })
}
