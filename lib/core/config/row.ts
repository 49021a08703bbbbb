// The shape of one row of the configuration's table, and the types that follow from a section of rows.
// A row is light: zod is handed to `schema` when a value is checked, so `--help` never loads it.
import type { z } from 'zod'
import type { NameTable } from '../registry.js'
import type { Zod } from '../zod.js'

type Schema = z.ZodType

/**
 * How text (a flag, an environment variable) becomes a value:
 * list: one text or several · names: "a,b" is a list, a pattern stays text · toggle: true, false, auto or a number from 2 on ·
 * optional: a flag with or without a value · record: JSON.
 */
export type Kind = 'string' | 'integer' | 'number' | 'boolean' | 'choice' | 'list' | 'names' | 'toggle' | 'optional' | 'record'

/** Reads another key's final value while defaults are filled. */
export type ReadKey = (dottedKey: string) => unknown

export interface RowFacts<S extends Schema> {
  kind: Kind
  schema: (z: Zod) => S
  /** Completes "expected …": "an integer of at least 1". Shown in errors and in docs/configuration.md. */
  expects: string
  /** One sentence for help, docs and the JSON Schema. */
  describe: string
  /** Kebab-case, without "--". Absent: files and environment only. */
  flag?: string
  /** What `--no-<flag>` does, where a switch is on by default. */
  describeNo?: string
  /** What stands for the value in help: "<folder>". */
  valueName?: string
  /** Names of a registry: plugins extend the choices. */
  table?: NameTable
  /** The fixed choices of a `choice`. */
  choices?: readonly string[]
  /** Names people arrive with from other tools, for suggestions only. */
  aka?: readonly string[]
  /**
   * Its text names something on disk; 'or name': where nothing is there it is a name; 'or hub name': unless it is a repository of the hub; 'or data name': unless it is a data set of the hub or "-".
   * ft_config.yaml holds it absolute.
   */
  path?: 'always' | 'or name' | 'or hub name' | 'or data name'
  /** Says something about this one command line, not about the run: never written to ft_config.yaml. */
  transient?: true
  /** The default in words, where it depends on something or is no value. */
  defaultText?: string
}

export interface DefaultRow<S extends Schema> extends RowFacts<S> {
  default: z.output<S> | ((read: ReadKey) => z.output<S>)
}
export interface RequiredRow<S extends Schema> extends RowFacts<S> {
  required: true
}
export interface OptionalRow<S extends Schema> extends RowFacts<S> {
  default?: undefined
  required?: undefined
}
/** Any row, as code that walks the table sees it. */
export interface KeyRow extends RowFacts<Schema> {
  default?: unknown
  required?: true
}

export type SectionRows = Readonly<Record<string, KeyRow>>

/** Row makers: they check the default against the schema's type. */
export function key<S extends Schema>(row: DefaultRow<S>): DefaultRow<S> {
  return row
}
export function requiredKey<S extends Schema>(row: Omit<RequiredRow<S>, 'required'>): RequiredRow<S> {
  return { ...row, required: true }
}
export function optionalKey<S extends Schema>(row: OptionalRow<S>): OptionalRow<S> {
  return row
}

export type DeepReadonly<T> = T extends (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T

type CamelCase<S> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : S
type SchemaOf<Row> = Row extends { schema: (z: Zod) => infer S extends Schema } ? S : never
type IsSet<Row> = Row extends { required: true } ? true : Row extends { default: undefined } ? false : Row extends { default: unknown } ? true : false

/** A section as TypeScript sees it: camelCase, frozen, every default filled. */
export type ResolvedSection<Rows> = {
  readonly [K in keyof Rows as IsSet<Rows[K]> extends true ? CamelCase<K> : never]: DeepReadonly<z.output<SchemaOf<Rows[K]>>>
} & {
  readonly [K in keyof Rows as IsSet<Rows[K]> extends true ? never : CamelCase<K>]?: DeepReadonly<z.output<SchemaOf<Rows[K]>>>
}

/** A section as a program may give it. */
export type SectionInput<Rows> = {
  [K in keyof Rows as CamelCase<K>]?: DeepReadonly<z.input<SchemaOf<Rows[K]>>> | z.input<SchemaOf<Rows[K]>>
}

/** "learning_rate" → "learningRate" */
export function camelCase(snake: string): string {
  return snake.replaceAll(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase())
}
