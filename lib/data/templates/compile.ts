// A Jinja chat template made ready to render many conversations. {% generation %} … {% endgeneration %} become
// marks in the output, because the Jinja library only removes them. Runs in the worker.
import { Template } from '@huggingface/jinja'

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

/** Throws what the library throws for a template that cannot be read. */
export function compileTemplate(source: string): CompiledTemplate {
  // The tag is a statement, and so is what replaces it: whitespace control and line ends are treated alike.
  const prepared = source.replace(generationTag, (_, before: string, end: string | undefined, after: string) => {
    return `{%${before === '-' ? '-' : ''} if true %}{{ ft_mark_${end === undefined ? 'begin' : 'end'} }}{% endif ${after}%}`
  })
  const template = new Template(prepared)
  return {
    marked: prepared !== source,
    opensTurns: source.includes('add_generation_prompt'),
    render: (variables, marks) => template.render({ ...variables, ft_mark_begin: marks.begin, ft_mark_end: marks.end }),
  }
}
