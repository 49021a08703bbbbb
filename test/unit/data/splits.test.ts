// Splits: as before for a seed, stable when data grows, groups whole, strata in proportion, nothing on both sides.
import { expect } from 'chai'
import fc from 'fast-check'
import { loadConfig } from '../../../lib/core/config/index.js'
import { chooseValidation } from '../../../lib/data/plan.js'
import type { SourceRow } from '../../../lib/data/rows.js'
import { Splitter, type SplitOptions } from '../../../lib/data/splits.js'
import { runInputs } from '../../../lib/trainers/run-inputs.js'
import { failure } from './helpers.js'

type Value = Record<string, unknown>

const source = (value: Value, line = 1): SourceRow => ({ row: { kind: 'text', text: JSON.stringify(value) }, shape: 'text', place: { file: 'f', line }, value })

function split(values: readonly Value[], options: SplitOptions, { ratio = 0.2, seed = 42, without = [] as readonly number[] } = {}): Set<number> {
  const splitter = new Splitter(options)
  values.forEach((value, i) => splitter.add(source(value, i + 1)))
  return splitter.choose(values.map((_, i) => !without.includes(i)), ratio, seed)
}

const numbered = (count: number): Value[] => Array.from({ length: count }, (_, id) => ({ id }))

describe('splits', () => {
  it('random is what it always was: the rows with loss, shuffled by the seed', () => {
    const held = split(numbered(97), {}, { ratio: 0.1, without: [3, 50] })
    const candidates = [...Array(97).keys()].filter((i) => i !== 3 && i !== 50)
    expect([...held]).to.deep.equal(chooseValidation(candidates, 10, 42))
    expect([...split(numbered(30), {}, { ratio: 0.1, seed: 7 })].sort((a, b) => a - b)).to.deep.equal([1, 2, 4])
  })

  it('hash: no row changes sides when others come, go or change places', () => {
    const ids = fc.uniqueArray(fc.nat(1e6), { minLength: 1, maxLength: 60 })
    fc.assert(fc.property(ids, ids, fc.nat(100), fc.constantFrom('id', undefined), (first, second, seed, column) => {
      const small = first.map((id) => ({ id }))
      const large = [...second.filter((id) => !first.includes(id)).map((id) => ({ id })), ...[...small].reverse()]
      const options: SplitOptions = { by: 'hash', ...(column === undefined ? {} : { column }) }
      const heldIds = (rows: { id: number }[]): Set<number> => new Set([...split(rows, options, { seed })].map((i) => rows[i]!.id))
      const [before, after] = [heldIds(small), heldIds(large)]
      for (const id of first) expect(after.has(id)).to.equal(before.has(id))
    }))
  })

  it('hash: about the ratio, another one for another seed, and equal keys together', () => {
    const rows = numbered(4000)
    const [one, two] = [split(rows, { by: 'hash', column: 'id' }), split(rows, { by: 'hash', column: 'id' }, { seed: 43 })]
    expect(one.size).to.be.within(700, 900)
    expect([...one].filter((i) => two.has(i)).length).to.be.within(100, 230)
    const larger = split(rows, { by: 'hash', column: 'id' }, { ratio: 0.3 })
    for (const i of one) expect(larger.has(i)).to.equal(true)
    const twins = [...rows.slice(0, 100), ...rows.slice(0, 100)]
    const held = split(twins, { by: 'hash' })
    for (let i = 0; i < 100; i++) expect(held.has(i)).to.equal(held.has(i + 100))
  })

  it('group: no group on both sides, both sides filled, near the ratio where groups are small', () => {
    const groups = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 1, true, '__proto__'), { minLength: 2, maxLength: 80 }).filter((list) => new Set(list).size > 1)
    fc.assert(fc.property(groups, fc.double({ min: 0.01, max: 0.99, noNaN: true }), fc.nat(), (list, ratio, seed) => {
      const held = split(list.map((user) => ({ user })), { by: 'group', column: 'user' }, { ratio, seed })
      const sides = new Map<unknown, Set<boolean>>()
      list.forEach((user, i) => sides.set(user, (sides.get(user) ?? new Set()).add(held.has(i))))
      for (const side of sides.values()) expect(side.size).to.equal(1)
      expect(held.size).to.be.within(1, list.length - 1)
    }))
    const many = Array.from({ length: 1000 }, (_, i) => ({ user: i >> 2 }))
    expect(split(many, { by: 'group', column: 'user' }, { ratio: 0.1 }).size).to.be.within(100, 104)
  })

  it('stratified: each value has its share, within one row', () => {
    const rows = Array.from({ length: 500 }, (_, i) => ({ lang: i % 10 === 0 ? 'sv' : i % 3 === 0 ? 'de' : 'en' }))
    const held = split(rows, { stratify: 'lang' })
    expect(held.size).to.equal(100)
    for (const lang of ['sv', 'de', 'en']) {
      const all = rows.filter((row) => row.lang === lang).length
      expect([...held].filter((i) => rows[i]!.lang === lang).length, lang).to.be.closeTo(0.2 * all, 1)
    }
  })

  it('a row without the column, and one group alone, are errors', async () => {
    const error = await failure(() => split([{ user: 1 }, { usr: 2 }], { by: 'group', column: 'user' }), 'FT_DATASET_ROW')
    expect(error.message).to.include('f:2').and.include('"user"')
    expect(error.remedy).to.include('"usr"')
    await failure(() => split([{ user: 1 }, { user: null }], { by: 'hash', column: 'user' }), 'FT_DATASET_ROW')
    await failure(() => split([{ user: 1 }, { user: 1 }], { by: 'group', column: 'user' }), 'FT_INCOMPATIBLE_CONFIG')
    for (const options of [{ by: 'grop' }, { by: 'group' }, { column: 'x' }, { by: 'hash', stratify: 'x' }]) await failure(() => new Splitter(options as SplitOptions), 'FT_INVALID_ARGUMENT')
  })

  it('the configuration refuses what does not fit together', async () => {
    const load = (flags: Record<string, unknown>) => loadConfig({ flags: { model: 'm', data: 'd', ...flags }, env: {} })
    expect(load({ split: 'hash', 'split-column': 'id' }).config.dataset).to.include({ split: 'hash', splitColumn: 'id' })
    for (const flags of [{ split: 'group' }, { 'split-column': 'x' }, { split: 'hash', 'stratify-column': 'x' }, { split: 'hash', 'validation-path': 'v' }, { 'stratify-column': 'x', 'validation-path': 'v' }]) {
      await failure(() => load(flags), 'FT_INCOMPATIBLE_CONFIG')
    }
    const inputs = (flags: Record<string, unknown>) =>
      runInputs({ config: load(flags).config, source: { name: 'm', folder: 'm', device: 'cpu', dtype: 'fp32' }, objective: 'sft', methodInputs: {}, modelFingerprint: '', dataFingerprint: '' })
    expect(inputs({ split: 'random' }), 'as before there were any').to.deep.equal(inputs({}))
    expect(inputs({ split: 'group', 'split-column': 'id', filter: 'empty' })).to.deep.include({ ...inputs({}), 'dataset.split': 'group', 'dataset.split_column': 'id', 'dataset.filters': '["empty"]' })
    expect((await failure(() => load({ filter: ['empty', 'exact_duplicate'] }), 'FT_INVALID_CONFIG')).remedy).to.include('exact_duplicates')
    await failure(() => load({ filter: '[{"length": {"min": 3}}]' }), 'FT_INVALID_CONFIG')
    expect(load({ filter: '[{"length": {"min_tokens": 3}}, "empty"]' }).config.dataset.filters).to.deep.equal([{ length: { min_tokens: 3 } }, 'empty'])
  })
})
