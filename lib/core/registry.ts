// Tables by name. A NameTable lists what exists, so that the configuration can be checked before the code
// behind a name is loaded; a Registry<T> in a higher floor holds the things themselves. Plugins register
// into the same tables before the configuration is read.
import { didYouMean, fail } from './errors/index.js'

const namePattern = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/

export class NameTable {
  readonly kind: string
  readonly #names: Set<string>

  /** @param kind what one entry is, for messages: "training method". */
  constructor(kind: string, builtIn: readonly string[]) {
    this.kind = kind
    this.#names = new Set(builtIn)
  }

  add(name: string): void {
    if (!namePattern.test(name)) {
      fail('FT_INVALID_ARGUMENT', `"${name}" cannot name a ${this.kind}`, {
        remedy: 'use letters, digits, "_", "-" and ".", beginning with a letter, at most 64',
      })
    }
    this.#names.add(name)
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }

  /** In order of registration, the built-in ones first. */
  list(): string[] {
    return [...this.#names]
  }
}

/** What the configuration can name. A built-in name is here before its code is loaded. */
export const names = {
  trainers: new NameTable('training method', ['lora', 'qlora', 'full']),
  loaders: new NameTable('dataset loader', ['jsonl', 'json', 'csv', 'tsv', 'txt', 'parquet']),
  formats: new NameTable('row format', ['tokenized', 'messages', 'sharegpt', 'preference', 'unpaired_preference', 'stepwise', 'prompt_completion', 'alpaca', 'text']),
  filters: new NameTable('row filter', [
    'empty', 'length', 'repetition', 'control_characters', 'exact_duplicates', 'near_duplicates', 'validation_overlap', 'expression',
  ]),
  optimizers: new NameTable('optimizer', ['adamw', 'adamw_8bit', 'paged_adamw_8bit']),
  schedules: new NameTable('schedule', ['constant', 'constant_with_warmup', 'linear', 'cosine']),
} as const

export class Registry<T> {
  readonly #table: NameTable
  readonly #entries = new Map<string, T>()

  constructor(table: NameTable) {
    this.#table = table
  }

  /** Adds an entry. A name that is taken is refused unless `replace` says otherwise. */
  register(name: string, value: T, options: { replace?: boolean } = {}): void {
    if (this.#entries.has(name) && !options.replace) {
      fail('FT_PLUGIN', `the ${this.#table.kind} "${name}" is already registered`, {
        remedy: 'choose another name, or pass { replace: true }',
        details: { name },
      })
    }
    this.#table.add(name)
    this.#entries.set(name, value)
  }

  /** Errors: FT_INVALID_CONFIG with the nearest known names. */
  get(name: string): T {
    const value = this.#entries.get(name)
    if (value !== undefined) return value
    return fail('FT_INVALID_CONFIG', `unknown ${this.#table.kind} "${name}"`, {
      remedy: didYouMean(name, this.#entries.keys()),
      details: { name, known: [...this.#entries.keys()] },
    })
  }

  has(name: string): boolean {
    return this.#entries.has(name)
  }

  names(): string[] {
    return [...this.#entries.keys()]
  }

  entries(): IterableIterator<[string, T]> {
    return this.#entries.entries()
  }
}
