// A Jinja chat template made ready to render many conversations. {% generation %} … {% endgeneration %} become
// marks in the output, because the Jinja library only removes them. Runs in the worker.
import { parse, Template, tokenize } from '@huggingface/jinja'
import { useExactValues } from './exact-values.js'
import { beginMark, type Marks } from './marks.js'
import { usePythonStrings } from './python-strings.js'
import { usePythonValues } from './python-values.js'

const generationTag = /\{%([-+]?)\s*(end)?generation\s*(-?)%\}/g

export interface CompiledTemplate {
  /** It marks what the assistant wrote. */
  marked: boolean
  /** It knows add_generation_prompt. */
  opensTurns: boolean
  render(variables: Record<string, unknown>, marks: Marks): string
}

/** The library reads over the end of a template that is cut off. */
function readTemplate(source: string): Template {
  try {
    const template = new Template('')
    template.parsed = parse(withoutLastCommas(tokenize(source, { lstrip_blocks: true, trim_blocks: true })))
    return template
  } catch (error) {
    if (error instanceof TypeError) throw new Error('it ends too early: a {% if %}, {% for %} or {% macro %} is not closed', { cause: error })
    throw error
  }
}

type Token = ReturnType<typeof tokenize>[number]

/** What stands before a "(" that belongs to a call. */
const callable = new Set(['Identifier', 'CloseParen', 'CloseSquareBracket', 'StringLiteral'])

/** A comma before ")", which the library does not know: (x,) is a list of one that cannot be changed, elsewhere the comma says nothing. */
function withoutLastCommas(tokens: readonly Token[]): Token[] {
  const result: Token[] = []
  /** Of each open bracket: whether it groups, and commas directly inside. */
  const open: { groups: boolean; commas: number }[] = []
  for (const [i, token] of tokens.entries()) {
    const before = tokens[i - 1]
    if (/^Open(?:Paren|SquareBracket|CurlyBracket)$/.test(token.type)) {
      const keyword = before?.type === 'Identifier' && /^(?:in|and|or|not|if|else|is)$/.test(before.value)
      open.push({ groups: token.type === 'OpenParen' && !(before !== undefined && callable.has(before.type) && !keyword), commas: 0 })
    } else if (token.type === 'Comma') {
      const inside = open.at(-1)
      if (inside !== undefined) inside.commas++
      if (tokens[i + 1]?.type === 'CloseParen') continue
    } else if (/^Close(?:Paren|SquareBracket|CurlyBracket)$/.test(token.type)) {
      const inside = open.pop()
      result.push(token)
      if (inside?.groups === true && inside.commas === 1 && before?.type === 'Comma') result.push({ value: '|', type: 'Pipe' }, { value: 'ft_tuple', type: 'Identifier' })
      continue
    }
    result.push(token)
  }
  return result
}

/** Throws what the library throws for a template that cannot be read. */
export function compileTemplate(source: string): CompiledTemplate {
  usePythonStrings()
  usePythonValues()
  useExactValues()
  // Jinja reads every line end as "\n".
  const lines = source.replace(/\r\n?/g, '\n')
  // The tag is a statement, and so is what replaces it: whitespace control and line ends are treated alike.
  const prepared = lines.replace(generationTag, (_, before: string, end: string | undefined, after: string) => {
    return `{%${before === '-' ? '-' : ''} if true %}{{ ft_mark_${end === undefined ? 'begin()' : 'end'} }}{% endif ${after}%}`
  })
  const template = readTemplate(prepared)
  return {
    marked: prepared !== lines,
    opensTurns: source.includes('add_generation_prompt'),
    render: (variables, marks) => template.render({ ...variables, ft_mark_begin: beginMark(marks), ft_mark_end: marks.end }),
  }
}
