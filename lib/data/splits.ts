// Which rows are held out for evaluation: a table of ways. `random` chooses rows by the seed; `hash` decides each row by its
// key alone, so that no row changes sides when others are added; `group` holds out whole groups. Rows of one key never part
// (hash, group). No row without loss is counted on, as there would be nothing to measure.
import { createHash } from 'node:crypto'
import { fail } from '../core/errors/index.js'
import { quotedName } from '../utils/printable.js'
import { numberOfText } from './key-set.js'
import { chooseValidation } from './plan.js'
import { randomStream, shuffled } from './random.js'
import { rowText } from './row-text.js'
import { placeText } from './types.js'
import type { SourceRow } from './rows.js'

export interface SplitOptions {
  /** Default: random. */
  by?: SplitName
  /** hash and group: the column whose values stay together; hash without one: everything the row says. */
  column?: string
  /** random: every value of this column has its share. */
  stratify?: string
}

export interface SplitRequest {
  /** Whether row i has loss. */
  supervised: readonly boolean[]
  /** Of row i, of the column that decides; 0 where none does. */
  keyOf: (row: number) => number
  ratio: number
  seed: number
  stratified: boolean
}

/** Indices of the validation rows. */
type Split = (request: SplitRequest) => Set<number>

const splits = { random, hash, group } as const satisfies Record<string, Split>
export type SplitName = keyof typeof splits

/** Keys of the rows as they come, and the split when all are there. */
export class Splitter {
  readonly #by: SplitName
  readonly #column: string | undefined
  readonly #needsKeys: boolean
  readonly #keys: number[] = []

  /** Errors: FT_INVALID_ARGUMENT. */
  constructor(readonly options: SplitOptions = {}) {
    const { by = 'random', column, stratify } = options
    const wrong =
      !Object.hasOwn(splits, by) ? `unknown split ${quotedName(String(by))}`
      : by === 'group' && column === undefined ? 'split group needs a column'
      : by === 'random' && column !== undefined ? 'split random has no use for a column'
      : by !== 'random' && stratify !== undefined ? `split ${by} cannot be stratified`
      : null
    if (wrong !== null) fail('FT_INVALID_ARGUMENT', wrong, { remedy: 'by: random (stratify?), hash (column?) or group (column)' })
    this.#by = by
    this.#column = column ?? stratify
    this.#needsKeys = by !== 'random' || stratify !== undefined
  }

  /** The next row. Errors: FT_DATASET_ROW where it has no value in the column. */
  add(source: SourceRow): void {
    if (this.#needsKeys) this.#keys.push(this.#keyOf(source))
  }

  /** @param supervised whether row i has loss, for the rows to split: the first that came */
  choose(supervised: readonly boolean[], ratio: number, seed: number): Set<number> {
    return splits[this.#by]({ supervised, keyOf: (row) => this.#keys[row] ?? 0, ratio, seed, stratified: this.options.stratify !== undefined })
  }

  #keyOf({ value, row, place }: SourceRow): number {
    const column = this.#column
    if (column === undefined) return numberOfText(`${row.kind}\n${rowText(row)}`)
    const given = Object.hasOwn(value, column) ? (value)[column] : undefined
    if (given === undefined || given === null) {
      const there = Object.keys(value).slice(0, 20).map((name) => quotedName(name)).join(', ')
      fail('FT_DATASET_ROW', `${placeText(place)}: no value in the column ${quotedName(column)} that the split needs`, { remedy: `this row has ${there}; repair it, or split by another column`, details: { ...place, column } })
    }
    return numberOfText(typeof given === 'string' ? given : JSON.stringify(given, (_name, one: unknown) => (typeof one === 'bigint' ? `${one}` : one)))
  }
}

/** As ever: the rows with loss, shuffled by the seed. Stratified: each stratum by itself. */
function random({ supervised, keyOf, ratio, seed, stratified }: SplitRequest): Set<number> {
  const candidates = [...supervised.keys()].filter((row) => supervised[row])
  const count = Math.min(Math.ceil(supervised.length * ratio), candidates.length - 1)
  if (count <= 0) return new Set()
  if (!stratified) return new Set(chooseValidation(candidates, count, seed))
  const strata = [...groupsOf(candidates, keyOf)]
  const counts = shares(strata.map(([, members]) => members.length), count)
  return new Set(strata.flatMap(([key, members], i) => chooseValidation(members, counts[i] as number, seedOf(seed, key))))
}

/** A row is held out when its key's place in [0, 1), moved by the seed, is below the ratio. */
function hash({ supervised, keyOf, ratio, seed }: SplitRequest): Set<number> {
  const limit = ratio * 2 ** 53
  return new Set([...supervised.keys()].filter((row) => seedOf(seed, keyOf(row)) < limit))
}

/** Groups in an order of the seed, until the ratio is reached; at least one is held out, and one stays. */
function group({ supervised, keyOf, ratio, seed }: SplitRequest): Set<number> {
  const groups = [...groupsOf(supervised.keys(), keyOf).values()]
  if (groups.length < 2) fail('FT_INCOMPATIBLE_CONFIG', 'the rows are all of one group: none can be held out', { remedy: 'split by another column, or set --validation-ratio 0' })
  const order = Array.from(shuffled(groups.length, randomStream(seed, groupKey)), (at) => groups[at] as number[])
  const wanted = Math.ceil(supervised.length * ratio)
  const held: number[] = []
  let left = groups.length
  for (const members of order) {
    const missing = wanted - held.length
    if (missing <= 0 || left === 1) break
    // One that would overshoot by more than what is missing is passed over.
    if (members.length > 2 * missing) continue
    held.push(...members)
    left--
  }
  // All are large: the smallest overshoots least.
  if (held.length === 0) held.push(...order.reduce((least, members) => (members.length < least.length ? members : least)))
  return new Set(held)
}

const groupKey = 4

/** `count` in shares of these sizes, by largest remainder: at most one away from the exact share. */
function shares(sizes: readonly number[], count: number): number[] {
  const all = sizes.reduce((sum, size) => sum + size, 0)
  const exact = sizes.map((size) => (size * count) / all)
  const whole = exact.map(Math.floor)
  const missing = count - whole.reduce((sum, share) => sum + share, 0)
  const order = [...exact.keys()].sort((a, b) => (exact[b] as number) % 1 - ((exact[a] as number) % 1) || a - b)
  for (const i of order.slice(0, missing)) whole[i] = (whole[i] as number) + 1
  return whole
}

function groupsOf(indices: Iterable<number>, keyOf: (index: number) => number): Map<number, number[]> {
  const groups = new Map<number, number[]>()
  for (const index of indices) {
    const members = groups.get(keyOf(index))
    if (members === undefined) groups.set(keyOf(index), [index])
    else members.push(index)
  }
  return groups
}

/** 53 bits of a hash of the key and the seed. */
function seedOf(seed: number, key: number): number {
  const bytes = createHash('sha256').update(`${seed}:${key}`).digest()
  return (bytes.readUInt32LE(0) & 0x1f_ffff) * 2 ** 32 + bytes.readUInt32LE(4)
}
