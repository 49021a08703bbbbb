// Rows beyond the memory budget lie in a file: they are the same rows, and nothing else changes.
import { mkdtempSync, readdirSync, rmSync, writeFileSync, readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { rowLength, toBatch, type EncodedRow } from '../../../lib/data/index.js'
import { RowStore } from '../../../lib/data/row-store.js'
import { checksum, packRow, unpackIds, unpackLabels } from '../../../lib/data/store/row-codec.js'
import { FileRow, TokenFile } from '../../../lib/data/store/token-file.js'
import { failure } from './helpers.js'

const ids = fc.array(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { minLength: 1, maxLength: 60 })
const rowOf = fc.record({ ids, kinds: fc.array(fc.constantFrom('own', 'none', 'other'), { minLength: 60, maxLength: 60 }), others: fc.boolean() }).map(({ ids: inputIds, kinds, others }): EncodedRow => ({
  inputIds: Int32Array.from(inputIds),
  labels: Int32Array.from(inputIds, (id, t) => (kinds[t] === 'none' ? -100 : kinds[t] === 'other' && others ? id ^ 1 : id)),
}))
const plain = (row: EncodedRow): number[][] => [[...row.inputIds], [...row.labels]]

describe('rows in a file', () => {
  let cache: string
  const before_ = process.env.FT_NATIVE_CACHE
  before(() => {
    cache = mkdtempSync(path.join(os.tmpdir(), 'ft-rows-'))
    process.env.FT_NATIVE_CACHE = cache
  })
  after(() => {
    if (before_ === undefined) delete process.env.FT_NATIVE_CACHE
    else process.env.FT_NATIVE_CACHE = before_
    rmSync(cache, { recursive: true, force: true })
  })

  it('pack and unpack to what they were', () => {
    fc.assert(fc.property(rowOf, (row) => {
      const packed = packRow(row)
      expect([...unpackIds(packed)]).to.deep.equal([...row.inputIds])
      expect([...unpackLabels(packed)]).to.deep.equal([...row.labels])
      expect(packed.words.length).to.be.at.most(2 * row.inputIds.length + 1)
    }))
    const learned = packRow({ inputIds: Int32Array.of(5, 6, 7, 8), labels: Int32Array.of(-100, -100, 7, 8) })
    expect([...learned.words]).to.deep.equal([5, 6, 7, 8, 2, 4])
  })

  it('are those that memory would hold, whenever the budget is used up', () => {
    fc.assert(fc.property(fc.array(rowOf, { minLength: 1, maxLength: 12 }), fc.nat({ max: 3000 }), fc.constantFrom('truncate' as const, 'split' as const), (rows, budget, overflow) => {
      const options = { overflow, maxSeqLength: 20, stride: 3, bosTokenId: null }
      const [held, filed] = [new RowStore(options), new RowStore(options, budget)]
      for (const row of rows) for (const store of [held, filed]) store.add(row)
      const all = (store: RowStore): EncodedRow[] => store.rows.flatMap((row) => store.parts(row))
      expect(all(filed).map(plain)).to.deep.equal(all(held).map(plain))
      expect(all(filed).map(rowLength)).to.deep.equal(all(held).map(rowLength))
      expect(filed.rows.map(({ supervised }) => supervised)).to.deep.equal(held.rows.map(({ supervised }) => supervised))
      expect(filed.digest()).to.equal(held.digest())
      expect(toBatch(all(filed))).to.deep.equal(toBatch(all(held)))
    }), { numRuns: 40 })
    const store = new RowStore({ overflow: 'truncate', maxSeqLength: 20, stride: 0, bosTokenId: null }, 0)
    expect(store.add({ inputIds: Int32Array.of(1, 2), labels: Int32Array.of(1, 2) })).to.be.instanceOf(FileRow)
    expect(readdirSync(path.join(cache, 'rows')), 'files without a name').to.deep.equal([])
  })

  it('are checked when they are read', async () => {
    const name = path.join(cache, 'tokens.bin')
    const file = TokenFile.create(name)
    const rows = [[1, 2, 3], [4, 5, 6, 7]].map((one) => ({ inputIds: Int32Array.from(one), labels: Int32Array.from(one) }))
    for (const row of rows) file.append(row, row.inputIds.length - 1)
    file.flush()
    const index = file.index()
    expect([0, 1].map((row) => plain(new FileRow(TokenFile.open(name, index), row)))).to.deep.equal(rows.map(plain))
    const bytes = readFileSync(name)
    bytes[21]! ^= 1
    writeFileSync(name, bytes)
    expect(plain(new FileRow(TokenFile.open(name, index), 0))).to.deep.equal(plain(rows[0]!))
    expect((await failure(() => new FileRow(TokenFile.open(name, index), 1).inputIds, 'FT_DATASET')).remedy).to.include('--no-cache')
    writeFileSync(name, bytes.subarray(0, 22))
    await failure(() => new FileRow(TokenFile.open(name, index), 1).inputIds, 'FT_DATASET')
    expect(checksum(Int32Array.of(1, 2))).not.to.equal(checksum(Int32Array.of(2, 1)))
  })
})
