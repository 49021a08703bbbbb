// A Jinja chat template made ready to render many conversations. {% generation %} … {% endgeneration %} become
// marks in the output, because the Jinja library only removes them. Runs in the worker.
import { Template } from '@huggingface/jinja'
import { usePythonStrings } from './python-strings.js'
import { usePythonValues } from './python-values.js'

const generationTag = /\{%([-+]?)\s*(end)?generation\s*(-?)%\}/g

export interface Marks {
  begin: string
  end: string
}

export interface CompiledTemplate {
  /** It marks what the assistant wrote. */
  marked: boolean
  /** It knows add_generation_prompt. */
  opensTurns: boolean
  render(variables: Record<string, unknown>, marks: Marks): string
}

/** The library reads over the end of a template that is cut off. */
function parse(source: string): Template {
  try {
    return new Template(source)
  } catch (error) {
    if (error instanceof TypeError) throw new Error('it ends too early: a {% if %}, {% for %} or {% macro %} is not closed', { cause: error })
    throw error
  }
}

/** Throws what the library throws for a template that cannot be read. */
export function compileTemplate(source: string): CompiledTemplate {
  usePythonStrings()
  usePythonValues()
  // Jinja reads every line end as "\n".
  const lines = source.replace(/\r\n?/g, '\n')
  // The tag is a statement, and so is what replaces it: whitespace control and line ends are treated alike.
  const prepared = lines.replace(generationTag, (_, before: string, end: string | undefined, after: string) => {
    return `{%${before === '-' ? '-' : ''} if true %}{{ ft_mark_${end === undefined ? 'begin' : 'end'} }}{% endif ${after}%}`
  })
  const template = parse(prepared)
  return {
    marked: prepared !== lines,
    opensTurns: source.includes('add_generation_prompt'),
    render: (variables, marks) => template.render({ ...variables, ft_mark_begin: marks.begin, ft_mark_end: marks.end }),
  }
}
