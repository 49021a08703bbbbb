// What a person may name as data, and how to read it.
import type { FormatOptions } from '../loaders/read.js'
import type { RowValue } from '../types.js'

export interface SourceSettings extends FormatOptions {
  /** Of a hub data set: branch, tag or commit. Default: main. */
  revision?: string
  /** Of a data set with several configurations: which one. */
  config?: string
  /** Of a folder or hub data set: the split to train on. Default: train. */
  split?: string
}

export interface DataSource extends SourceSettings {
  /** A file, a glob, a folder, "-" for standard input, a data set of the hub, or rows. */
  path: string | RowSource
  /** How often its rows are drawn, relative to the other sources. Where no source has one, they follow each other. */
  weight?: number
}

/** Rows that a program has. A function is called for each pass; an iterator that ends can be read once. */
export type RowSource = Iterable<RowValue> | AsyncIterable<RowValue> | (() => Iterable<RowValue> | AsyncIterable<RowValue>)

export type DataInput = string | DataSource | RowSource | readonly (string | DataSource)[]

/** When a mixture ends: with the first source that has no more rows, or when all have been read at least once. */
export type MixStop = 'first_exhausted' | 'all_exhausted'

const settingNames = {
  format: true, encoding: true, delimiter: true, sampleBy: true, columns: true, maxUnpackRatio: true, maxUnpackedBytes: true, revision: true, config: true, split: true,
} satisfies Record<keyof SourceSettings, true>
const sourceNames: Readonly<Record<string, true>> = { ...settingNames, path: true, weight: true }

/** Rows may have a column named path: a source has no name that is not a setting's. */
export function isDataSource(value: unknown): value is DataSource {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, 'path') && Object.keys(value).every((name) => Object.hasOwn(sourceNames, name))
}

/** The settings of a source over those of all. */
export function settingsOf(all: SourceSettings, one: DataSource): SourceSettings {
  const merged: Record<string, unknown> = { ...all }
  for (const name of Object.keys(settingNames)) {
    const value: unknown = Reflect.get(one, name)
    if (value !== undefined) merged[name] = value
  }
  return merged
}
