// Parquet files written by pyarrow (scripts/make-parquet-fixtures.py) as the rows that pyarrow reads from them, and files that
// are damaged or made to do harm.
import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { DatasetLoaderRegistry, type LoadOptions } from '../../../lib/data/loaders/index.js'
import { openBatches } from '../../../lib/data/loaders/loader.js'
import { readClaims } from '../../../lib/data/loaders/parquet-pages.js'
import { readOnly } from '../../../lib/data/pipeline.js'
import { placeText, type LoadedRow } from '../../../lib/data/types.js'
import { failure, fixture, temporaryFolder } from './helpers.js'

const folder = temporaryFolder()
const loader = DatasetLoaderRegistry.get('parquet')

async function read(file: string, options: LoadOptions = {}): Promise<LoadedRow[]> {
  const rows: LoadedRow[] = []
  for await (const row of loader.load(file, options)) rows.push(row)
  return rows
}

/** As the fixture's JSON writes bytes. */
function comparable(row: LoadedRow): unknown {
  if ('problem' in row) return row
  return JSON.parse(JSON.stringify(row.value, (_key, value: unknown) => (value instanceof Uint8Array ? { bytes: Buffer.from(value).toString('base64') } : value)))
}

function expected(name: string): unknown[] {
  return JSON.parse(readFileSync(fixture(`parquet/${name}.json`), 'utf8')) as unknown[]
}

describe('loading Parquet', () => {
  const same: [string, string][] = [
    ...['flat', 'flat-snappy', 'flat-gzip', 'flat-brotli', 'flat-zstd', 'flat-lz4', 'flat-v2'].map((name): [string, string] => [name, 'flat']),
    ['nested', 'nested'], ['nested-pages', 'nested'], ['empty', 'empty'],
  ]
  for (const [name, rows] of same) {
    it(`reads ${name} as pyarrow does`, async () => {
      const loaded = await read(fixture(`parquet/${name}.parquet`))
      expect(loaded.map(comparable)).to.deep.equal(expected(rows))
      loaded.forEach(({ place }, i) => expect(placeText(place)).to.equal(`${fixture(`parquet/${name}.parquet`)}: row ${i + 1}`))
    })
  }

  it('starts at any row, and reads only the columns that are wanted', async () => {
    for (const [name, options] of [['flat-snappy', { columns: ['text', 'big'] }], ['nested', { columns: ['meta'] }]] as const) {
      const rows = expected(name === 'nested' ? 'nested' : 'flat') as Record<string, unknown>[]
      for (const from of [0, 1, 6, 15, 16, 19, rows.length - 1, rows.length]) {
        const loaded: LoadedRow[] = []
        for await (const batch of openBatches(loader, fixture(`parquet/${name}.parquet`), { ...options, from: { row: from } })) {
          expect(batch.start.row).to.equal(from + loaded.length)
          loaded.push(...batch.rows)
        }
        const wanted = rows.map((row) => Object.fromEntries(Object.entries(row).filter(([column]) => (options.columns as readonly string[]).includes(column))))
        expect(loaded.map(comparable), `${name} from ${from}`).to.deep.equal(wanted.slice(from))
      }
    }
  })

  it('reads every column where a wanted one is missing', async () => {
    const [row] = await read(fixture('parquet/flat.parquet'), { columns: ['text', 'nothing'] })
    expect(row !== undefined && 'value' in row && Object.keys(row.value)).to.include('price')
  })

  it('leaves columns unread that nothing asks for', () => {
    const columns = { prompt: 'q', completion: ['a', 'b'] }
    expect(readOnly({ columns, read: { format: 'parquet' } })).to.deep.equal({ format: 'parquet', columns: ['q', 'a', 'b'] })
    for (const more of [{ rowSchema: {} }, { filters: [{ name: 'length' }] as never }, { split: { by: 'hash' as const } }, { split: { stratify: 'x' } }, { columns: undefined }]) expect(readOnly({ columns, ...more })).to.equal(undefined)
  })

  it('refuses whole numbers that JavaScript cannot hold, row by row', async () => {
    const rows = await read(fixture('parquet/unsafe-int64.parquet'))
    expect(rows.map((row) => ('problem' in row ? row.problem : row.value.id))).to.deep.equal([1, 'id: a whole number beyond 2^53 cannot be held exactly', 3, 'id: a whole number beyond 2^53 cannot be held exactly'])
  })

  it('refuses columns named __proto__, at any depth, and takes control characters for what they are', async () => {
    await failure(() => read(fixture('parquet/proto.parquet')), 'FT_DATASET')
    await failure(() => read(fixture('parquet/proto-nested.parquet')), 'FT_DATASET')
    expect(({} as { polluted?: unknown }).polluted).to.equal(undefined)
    expect((await read(fixture('parquet/control.parquet'))).map(comparable)).to.deep.equal([{ 'te\u001bxt\u0000': 'a' }])
  })

  it('stops before a file unpacks to far more than its size', async () => {
    const error = await failure(() => read(fixture('parquet/bomb.parquet')), 'FT_DATASET')
    expect(error.message).to.include('100 times')
    expect(error.remedy).to.include('--max-unpack-ratio')
    const [row] = await read(fixture('parquet/bomb.parquet'), { maxUnpackRatio: 1e6 })
    expect(row !== undefined && 'value' in row && (row.value.text as string).length).to.equal(2 ** 27)
    await failure(() => read(fixture('parquet/bomb.parquet'), { maxUnpackRatio: 1e6, maxUnpackedBytes: 1e6 }), 'FT_DATASET')
  })

  it('answers every damage with a typed error or rows', async () => {
    const whole = readFileSync(fixture('parquet/nested.parquet'))
    let refused = 0
    let seed = 11
    const next = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % below
    for (let i = 0; i < 150; i++) {
      const bytes = Buffer.from(i % 3 === 0 ? whole.subarray(0, next(whole.length)) : whole)
      // Half of the changes go to the footer, which says where everything is.
      if (i % 3 !== 0) bytes[i % 3 === 1 ? next(bytes.length) : bytes.length - 1 - next(3000)] = next(256)
      const file = folder.write('damaged.parquet', bytes)
      try {
        await read(file)
      } catch (error) {
        expect(error, String(error)).to.have.property('code', 'FT_DATASET')
        expect((error as Error).message).not.to.include('question')
        refused++
      }
    }
    expect(refused).to.be.greaterThan(50)
  })

  it('needs a file and not a stream', async () => {
    const source = { name: '(standard input)', size: null, head: () => Promise.resolve(Buffer.from('PAR1')), async *stream() { yield await Promise.resolve(Buffer.from('PAR1')) } }
    expect((await failure(() => read('-', { source }), 'FT_DATASET')).message).to.include('cannot be read as a stream')
    await failure(() => read(folder.write('text.parquet', '{"a":1}')), 'FT_DATASET')
    await failure(() => read(folder.write('short.parquet', 'PAR1')), 'FT_DATASET')
  })

  it('reads page headers as far as they go', () => {
    expect(() => readClaims(Buffer.from([0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))).to.throw(RangeError)
    expect(() => readClaims(Buffer.from(Array.from({ length: 64 }, () => 0x1c)))).to.throw(RangeError)
  })
})
