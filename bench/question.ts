// What a question of the benchmark is. To add one: a file in bench/questions/ that exports an object of this type, and a
// row in bench/questions/index.ts.
import type { Settings } from './settings.js'

export interface Answer {
  /** Goes into the JSON document. */
  result: unknown
  /** Markdown, for a person. */
  table: string
  /** Why the figures must not be quoted: the two programs did not do the same work. */
  objection?: string
}

export interface Question {
  name: string
  /** One line, for --help. */
  asks: string
  /** Takes too long for --quick, which asks it where it is named. */
  slow?: true
  ask(settings: Settings, say: (text: string) => void): Promise<Answer>
}
