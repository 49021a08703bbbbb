// The flags of one command line, by kebab-case name, as typed on demand. Errors: FT_USAGE.
import { fail } from '../core/errors/index.js'

/** Text; true or false for switches; several texts for a repeated flag. */
export type FlagValue = string | boolean | readonly string[]

export interface NumberBounds {
  min?: number
  max?: number
}

const numeral = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i

export class ParsedFlags {
  readonly #values: ReadonlyMap<string, FlagValue>

  constructor(values: ReadonlyMap<string, FlagValue>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  /** As given, for loadConfig and the like. */
  raw(name: string): FlagValue | undefined {
    return this.#values.get(name)
  }

  boolean(name: string): boolean | undefined {
    const value = this.#values.get(name)
    return typeof value === 'boolean' ? value : undefined
  }

  /** The text; of a repeated flag the last. */
  text(name: string): string | undefined {
    const value = this.#values.get(name)
    if (typeof value === 'string') return value
    return Array.isArray(value) ? String(value.at(-1)) : undefined
  }

  /** All texts of a flag that may be repeated. */
  list(name: string): string[] {
    const value = this.#values.get(name)
    if (value === undefined || typeof value === 'boolean') return []
    return typeof value === 'string' ? [value] : [...value]
  }

  number(name: string, bounds: NumberBounds = {}): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = numeral.test(text) ? Number(text) : NaN
    return this.#inside(name, text, value, 'a number', bounds)
  }

  integer(name: string, bounds: NumberBounds = {}): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = numeral.test(text) ? Number(text) : NaN
    return this.#inside(name, text, Number.isSafeInteger(value) ? value : NaN, 'an integer', bounds)
  }

  /** One of `choices`. */
  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const found = choices.find((choice) => choice === text)
    return found ?? fail('FT_USAGE', `--${name}: expected ${choices.join(', ')}, got "${text}"`, { remedy: `give --${name} one of them` })
  }

  entries(): [string, FlagValue][] {
    return [...this.#values]
  }

  #inside(name: string, text: string, value: number, what: string, { min, max }: NumberBounds): number {
    if (!Number.isNaN(value) && (min === undefined || value >= min) && (max === undefined || value <= max)) return value
    const range = [min === undefined ? '' : `at least ${min}`, max === undefined ? '' : `at most ${max}`].filter(Boolean).join(' and ')
    return fail('FT_USAGE', `--${name}: expected ${what}${range ? ` of ${range}` : ''}, got "${text}"`, { remedy: `give --${name} ${what}` })
  }
}
