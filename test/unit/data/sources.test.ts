// Where rows come from: folders with splits, standard input, programs, mixtures; and that a stream of rows can be left and taken
// up anywhere.
import fc from 'fast-check'
import { expect } from 'chai'
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import zlib from 'node:zlib'
import { Readable } from 'node:stream'
import { matchPath } from '../../../lib/data/loaders/glob.js'
import { planEpoch } from '../../../lib/data/plan.js'
import { quickLoad } from '../../../lib/data/quick-load.js'
import { chooseDataFiles, findDataSets } from '../../../lib/data/sources/find.js'
import { sourceChooser } from '../../../lib/data/sources/mix.js'
import { chooseConfig, chooseSplits, dataConfigs, splitsByName, splitsOf } from '../../../lib/data/sources/splits.js'
import { groupFiles, streamRows, type StreamRowsOptions } from '../../../lib/data/sources/stream.js'
import type { DataInput, DataSource, RowSource } from '../../../lib/data/sources/types.js'
import type { RowValue } from '../../../lib/data/types.js'
import { failure, temporaryFolder } from './helpers.js'

const folder = temporaryFolder()

function jsonl(rows: readonly object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

async function rowsOf(input: DataInput, options: StreamRowsOptions = {}): Promise<unknown[]> {
  const rows: unknown[] = []
  for await (const row of await streamRows(input, options)) rows.push('value' in row ? row.value : row.problem)
  return rows
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
const named = (text: string, count: number): RowValue[] => Array.from({ length: count }, (_, i) => ({ text: `${text}${i}` }))

describe('folders', () => {
  it('are read by their splits, with a validation split where there is one', async () => {
    folder.write('splits/train.jsonl', jsonl(named('t', 3)))
    folder.write('splits/dev.jsonl', jsonl(named('d', 2)))
    folder.write('splits/test.jsonl', jsonl(named('x', 1)))
    folder.write('splits/README.md', '# About')
    folder.write('splits/.hidden.jsonl', 'broken')
    const input = folder.path('splits')
    expect(await rowsOf(input)).to.deep.equal(named('t', 3))
    expect(await rowsOf(input, { split: 'validation' })).to.deep.equal(named('d', 2))
    expect(await rowsOf(input, { settings: { split: 'test' } })).to.deep.equal(named('x', 1))
    expect((await failure(() => rowsOf(input, { settings: { split: 'best' } }), 'FT_DATASET')).remedy).to.include('train, validation, test')
  })

  it('without splits are all training rows, of the format that most files have', async () => {
    folder.write('plain/b.jsonl', jsonl(named('b', 1)))
    folder.write('plain/deep/a.json', JSON.stringify(named('a', 1)))
    folder.write('plain/note.txt', 'not data')
    expect(await rowsOf(folder.path('plain'))).to.deep.equal([...named('b', 1), ...named('a', 1)])
    expect(await rowsOf(folder.path('plain'), { settings: { format: 'txt' } })).to.have.length(3)
    mkdirSync(folder.path('nothing'))
    await failure(() => rowsOf(folder.path('nothing')), 'FT_DATASET')
  })

  it('are read as their README says', async () => {
    folder.write('configs/README.md', '---\nconfigs:\n- config_name: en\n  data_files:\n  - split: train\n    path: "en/*.csv"\n  - split: validation\n    path: [held.csv]\n- config_name: de\n  data_dir: german\n---\n# Text\n')
    folder.write('configs/en/1.csv', 'text\nen\n')
    folder.write('configs/held.csv', 'text\nheld\n')
    folder.write('configs/german/train.csv', 'text\nde\n')
    const input = folder.path('configs')
    expect((await failure(() => rowsOf(input), 'FT_DATASET')).remedy).to.include('--data-config: en, de')
    expect(await rowsOf(input, { settings: { config: 'en' } })).to.deep.equal([{ text: 'en' }])
    expect(await rowsOf(input, { settings: { config: 'en' }, split: 'validation' })).to.deep.equal([{ text: 'held' }])
    expect(await rowsOf(input, { settings: { config: 'de' } })).to.deep.equal([{ text: 'de' }])
    await failure(() => rowsOf(input, { settings: { config: 'fr' } }), 'FT_DATASET')
  })

  it('do not lead elsewhere, except as the cache of the hub links its blobs', async () => {
    const secret = folder.write('outside/secret.jsonl', jsonl([{ text: 'hunter2' }]))
    mkdirSync(folder.path('linked'))
    symlinkSync(secret, folder.path('linked/train.jsonl'))
    expect((await failure(() => rowsOf(folder.path('linked')), 'FT_DATASET')).message).to.include('leads out of the folder')
    const snapshot = `datasets--o--n/snapshots/${'a'.repeat(40)}`
    folder.write('datasets--o--n/blobs/abc', jsonl(named('blob', 1)))
    mkdirSync(folder.path(snapshot), { recursive: true })
    symlinkSync('../../blobs/abc', folder.path(snapshot, 'train.jsonl'))
    expect(await rowsOf(folder.path(snapshot))).to.deep.equal(named('blob', 1))
    mkdirSync(folder.path('circle'))
    symlinkSync('.', folder.path('circle/again'))
    folder.write('circle/a.jsonl', jsonl(named('a', 1)))
    expect(await rowsOf(folder.path('circle'))).to.deep.equal(named('a', 1))
  })
})

describe('splits of a repository', () => {
  const splits = (paths: string[]): Record<string, string[]> => Object.fromEntries(splitsByName(paths))

  // What datasets 5 makes of the same names.
  it('are found by name', () => {
    expect(splits(['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet', 'data/random-00000-of-00001.parquet', 'train.csv'])).to.deep.equal({
      train: ['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'], random: ['data/random-00000-of-00001.parquet'],
    })
    expect(splits(['my-train-set.jsonl', 'x_dev.jsonl', 'trainer.jsonl'])).to.deep.equal({ train: ['my-train-set.jsonl'], validation: ['x_dev.jsonl'] })
    expect(splits(['train/a.csv', 'val 0/b.csv', 'test.csv', 'training/eval.csv'])).to.deep.equal({ train: ['train/a.csv', 'training/eval.csv'], validation: ['val 0/b.csv'] })
    expect(splits(['a.csv', 'deep/b.csv', '.git/c.csv', '__pycache__/d.csv', 'README.md', 'config.json'])).to.deep.equal({ train: ['a.csv', 'deep/b.csv'] })
    expect(splits(['README.md'])).to.deep.equal({})
  })

  it('are found by patterns', () => {
    for (const [pattern, file, expected] of [
      ['**', 'a/b/c', true], ['**', 'c', true], ['a/**', 'a/b/c', true], ['a/**', 'a', false], ['**/a/**', 'a/b', true], ['**/a/**', 'x/a', false], ['*.csv', 'a/b.csv', false],
      ['**/*.csv', 'b.csv', true], ['**/*.csv', 'x/y/b.csv', true], ['data/*-[0-9][0-9].csv', 'data/x-07.csv', true], ['{a,b}/*', 'b/x', true], ['./a.csv', 'a.csv', true], ['a', 'b', false],
    ] as const) expect(matchPath(pattern, file), `${pattern} ${file}`).to.equal(expected)
    expect(matchPath(`${'**/'.repeat(40)}x`, `${'a/'.repeat(200)}b`)).to.equal(false)
  })

  it('may have very many files', () => {
    const names = range(60_000).map((i) => `data/train-${String(i).padStart(5, '0')}-of-60000.jsonl`)
    expect(splitsByName(names).get('train')).to.deep.equal(names)
    expect(chooseDataFiles('x', names, null, {}).train).to.have.length(names.length)
    const files = names.map((name, i) => ({ path: name, bytes: 1, mix: { source: i % 2, weight: 1, seed: 0, stop: 'first_exhausted' as const } }))
    expect(groupFiles(files).map((group) => group.length)).to.deep.equal([30_000, 30_000])
  })

  it('take every form of data_files, and pass over what is none', () => {
    const files = ['a.csv', 'b.csv', 'c/d.csv']
    const of = (dataFiles: unknown): Record<string, string[]> => Object.fromEntries(splitsOf(files, dataConfigs({ configs: [{ config_name: 'default', data_files: dataFiles }] })[0]))
    expect(of('a.csv')).to.deep.equal({ train: ['a.csv'] })
    expect(of(['a.csv', 'c/*'])).to.deep.equal({ train: ['a.csv', 'c/d.csv'] })
    expect(of({ train: '*.csv', test: ['c/d.csv'] })).to.deep.equal({ train: ['a.csv', 'b.csv'], test: ['c/d.csv'] })
    expect(of([{ split: 'dev', path: './b.csv' }])).to.deep.equal({ dev: ['b.csv'] })
    expect(of(7)).to.deep.equal({})
    expect(of(null)).to.deep.equal({ train: files })
    for (const odd of [null, 5, [], { configs: 'x' }, { configs: [null, 'x'] }]) expect(dataConfigs(odd)).to.deep.equal([])
    expect(chooseConfig('x', dataConfigs({ configs: [{ config_name: 'a' }, { config_name: 'b', default: true }] }), undefined)?.name).to.equal('b')
    expect(chooseSplits('x', new Map([['all', ['a']]]), undefined)).to.deep.equal({ train: ['a'], validation: [] })
  })
})

describe('rows of a program', () => {
  it('are taken from lists, generators, async generators and functions', async () => {
    const rows = named('r', 5)
    async function* later(): AsyncGenerator<RowValue> {
      for (const row of rows) yield await Promise.resolve(row)
    }
    for (const input of [rows, new Set(rows), rows[Symbol.iterator](), later(), () => rows, later, { path: later }]) expect(await quickLoad(input as DataInput)).to.deep.equal(rows)
    expect(await rowsOf([{ path: 'not a source', text: 'x' }])).to.deep.equal([{ path: 'not a source', text: 'x' }])
    expect(await rowsOf([{ a: 1 }, 7, 'x', null, [1]] as never).catch((error: unknown) => (error as { code: string }).code)).to.equal('FT_INVALID_ARGUMENT')
    expect(await rowsOf(new Set([{ a: 1 }, 7, null]) as never)).to.deep.equal([{ a: 1 }, 'a row must be an object, this is a number', 'a row must be an object, this is null'])
    for (const odd of [undefined, null, 5, {}, true]) await failure(() => rowsOf(odd as never), 'FT_INVALID_ARGUMENT')
  })
})

describe('a named pipe', () => {
  it('is read as a stream is, packed or not, in pieces as they come', async () => {
    const values = named('p', 4000)
    for (const [i, content] of [Buffer.from(jsonl(values)), zlib.gzipSync(jsonl(values))].entries()) {
      const pipe = folder.path(`pipe${i}`)
      expect(spawnSync('mkfifo', [pipe]).status).to.equal(0)
      const file = folder.write(`pipe${i}.content`, content)
      const writer = spawn('sh', ['-c', '(head -c 100 "$0"; sleep 0.2; tail -c +101 "$0") > "$1"', file, pipe], { stdio: 'ignore' })
      const ended = new Promise((resolve) => writer.once('close', resolve))
      expect(await rowsOf(pipe)).to.deep.equal(values)
      expect(await ended).to.equal(0)
    }
  })
})

describe('mixtures', () => {
  const sources = (counts: readonly number[], weights: readonly number[]): DataInput => counts.map((count, i) => ({ path: folder.write(`mix/${'abc'[i]}.jsonl`, jsonl(named('abc'[i] as string, count))), weight: weights[i] as number }))
  const from = (rows: readonly unknown[], name: string): string[] => rows.map((row) => (row as { text: string }).text).filter((text) => text.startsWith(name))

  it('draw by weight, keep the order inside each source, and end with the first that ends', async () => {
    const rows = await rowsOf(sources([3000, 3000], [3, 1]), { mix: { seed: 7 } })
    const [a, b] = [from(rows, 'a'), from(rows, 'b')]
    expect(a).to.deep.equal(named('a', 3000).map((row) => row.text))
    expect(b).to.deep.equal(named('b', b.length).map((row) => row.text))
    expect(a.length / b.length).to.be.within(2.7, 3.3)
    expect(await rowsOf(sources([3000, 3000], [3, 1]), { mix: { seed: 7 } })).to.deep.equal(rows)
    expect(await rowsOf(sources([3000, 3000], [3, 1]), { mix: { seed: 8 } })).not.to.deep.equal(rows)
  })

  it('or when all have ended, with shorter ones again from their start', async () => {
    const rows = await rowsOf(sources([10, 100, 0], [1, 1, 1]), { mix: { seed: 1, stop: 'all_exhausted' } })
    expect(from(rows, 'b')).to.have.length(100)
    const a = from(rows, 'a')
    expect(a.length).to.be.greaterThan(50)
    a.forEach((text, i) => expect(text).to.equal(`a${i % 10}`))
  })

  it('say so where a source that is to begin again cannot', async () => {
    const once = (): [string, () => RowSource][] => [
      ['a generator', () => named('a', 3)[Symbol.iterator]()],
      ['a stream', () => Readable.from(named('a', 3)) as AsyncIterable<RowValue>],
      ['a stream of the web', () => new Blob(['x']).stream().pipeThrough(new TransformStream({ flush: (to) => named('a', 3).forEach((row) => to.enqueue(row)), transform: () => undefined })) as never],
      ['what gives its rows to the first alone', () => {
        const rows = named('a', 3)
        return { [Symbol.iterator]: () => rows.splice(0)[Symbol.iterator]() }
      }],
    ]
    for (const [what, make] of once()) {
      const input = (): DataSource[] => [{ path: make(), weight: 1 }, { path: named('b', 200), weight: 1 }]
      const error = await failure(() => rowsOf(input(), { mix: { seed: 1, stop: 'all_exhausted' } }), 'FT_DATASET').catch((cause: unknown) => { throw new Error(what, { cause }) })
      expect(`${error.message} ${error.remedy}`).to.match(/only once|second time/).and.include('function')
      expect(from(await rowsOf(input(), { mix: { seed: 1 } }), 'a')).to.have.length(3)
    }
    for (const again of [named('a', 3), () => named('a', 3), new Set(named('a', 3))]) {
      expect((await rowsOf([{ path: again, weight: 1 }, { path: named('b', 200), weight: 1 }], { mix: { seed: 1, stop: 'all_exhausted' } })).length).to.be.greaterThan(300)
    }
    const stream = await streamRows(named('a', 3)[Symbol.iterator]())
    for await (const row of stream) if ('value' in row) break
    await failure(async () => { for await (const row of stream) expect(row).to.equal('read again') }, 'FT_DATASET')
  })

  it('have weights for all or none', async () => {
    const [one, two] = [folder.write('w/a.jsonl', jsonl(named('a', 2))), folder.write('w/b.jsonl', jsonl(named('b', 2)))]
    await failure(() => rowsOf([{ path: one, weight: 1 }, two]), 'FT_INVALID_CONFIG')
    await failure(() => rowsOf([{ path: one, weight: 0 }]), 'FT_INVALID_CONFIG')
    expect(await rowsOf([one, { path: two }])).to.deep.equal([...named('a', 2), ...named('b', 2)])
    expect((await findDataSets([{ path: one, weight: 2, format: 'txt' }], {})).train[0]?.read?.format).to.equal('txt')
  })

  it('choose by seed and number alone', () => {
    const choose = sourceChooser([0.2, 0.5, 0.3], 42)
    const counts = [0, 0, 0]
    for (let i = 0; i < 20_000; i++) counts[choose(i)] = (counts[choose(i)] as number) + 1
    expect(counts.map((count) => Math.round(count / 2000))).to.deep.equal([2, 5, 3])
    expect([9, 3, 7].map((i) => choose(i))).to.deep.equal([9, 3, 7].map((i) => sourceChooser([2, 5, 3], 42)(i)))
  })
})

describe('a stream of rows in the order of a seed', () => {
  const input = (rows: number) => [
    { path: folder.write('order/a.jsonl', jsonl(named('a', Math.ceil(rows / 2)))), weight: 2 },
    { path: folder.write('order/b.csv', `text\n${named('b', Math.floor(rows / 2)).map(({ text }) => `${String(text)}\n`).join('')}`), weight: 1 },
  ]
  const plain = (rows: number) => input(rows).map(({ path }) => path)

  it('is that of training with the same window, whatever the window', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 50 }), fc.nat({ max: 99 }), fc.nat({ max: 3 }), async (rows, window, seed, epoch) => {
      const all = await rowsOf(plain(rows))
      const order = [...planEpoch({ rows, batchSize: 7, accumulation: 2, shuffle: true, shuffleWindow: window, seed, epoch })].flat(2)
      expect(await rowsOf(plain(rows), { order: { window, seed, epoch } })).to.deep.equal(order.map((row) => all[row]))
    }), { numRuns: 60 })
  })

  it('goes on at any row after its stretch alone is read again, also of a mixture, as it is asked for again or by a cursor', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 12 }), fc.nat(), fc.boolean(), async (rows, window, at, mixed) => {
      const [data, options] = [mixed ? input(rows) : plain(rows), { order: { window, seed: at }, mix: { seed: at, stop: 'all_exhausted' as const } }]
      const all = await rowsOf(data, options)
      const cut = 1 + (at % all.length)
      const stream = await streamRows(data, options)
      const seen: unknown[] = []
      for await (const row of stream) {
        seen.push('value' in row && row.value)
        if (seen.length === cut) break
      }
      const cursor = JSON.parse(JSON.stringify(stream.cursor())) as NonNullable<StreamRowsOptions['from']>
      expect(cursor.order!.begin % window).to.equal(0)
      expect([...seen, ...(await rowsOf(data, { ...options, from: cursor }))]).to.deep.equal(all)
      for await (const row of stream) seen.push('value' in row && row.value)
      expect(seen).to.deep.equal(all)
    }), { numRuns: 60 })
  })

  it('gives ranks rows of their own, and all of them together, wherever they are cut', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 5 }), fc.nat(), async (rows, window, world, at) => {
      const order = { window, seed: 3 }
      const together: unknown[][] = []
      for (let rank = 0; rank < world; rank++) {
        const options = { order: { ...order, rank, world } }
        const stream = await streamRows(plain(rows), options)
        const own: unknown[] = []
        const cut = at % rows
        if (cut > 0) for await (const row of stream) if (own.push('value' in row && row.value) >= cut) break
        together.push([...own, ...(await rowsOf(plain(rows), { ...options, from: stream.cursor() }))])
      }
      const all = await rowsOf(plain(rows), { order })
      expect(all.map((_, i) => together[i % world]?.[Math.floor(i / world)])).to.deep.equal(all)
      expect(together.reduce((sum, own) => sum + own.length, 0)).to.equal(rows)
    }), { numRuns: 40 })
  })

  it('holds a stretch and not the data, and shows bad rows where they come', async () => {
    let made = 0
    const source = function* (): Generator<RowValue> {
      for (; made < 1e6; made++) yield made === 5 ? ('no row' as never) : { text: String(made) }
    }
    // A program in JavaScript may give what is no row.
    const stream = await streamRows(source as () => Generator<{ text: string }>, { order: { window: 10, seed: 1 } })
    const seen: unknown[] = []
    for await (const row of stream) if (seen.push('value' in row ? Number(row.value.text) : 'bad') === 10) break
    expect(seen.toSorted()).to.deep.equal([...range(10).filter((i) => i !== 5), 'bad'].toSorted())
    expect(made).to.be.at.most(64 * 2)
  })

  it('is refused where it cannot be', async () => {
    for (const order of [{ window: 0, seed: 1 }, { window: 1.5, seed: 1 }, { window: 2, seed: 0.5 }, { window: 2, seed: 1, rank: 1 }, { window: 2, seed: 1, world: 0 }, { window: 2, seed: 1, epoch: -1 }]) {
      await failure(() => streamRows(plain(4), { order }), 'FT_INVALID_ARGUMENT')
    }
    const cursor = (await streamRows(plain(4))).cursor()
    await failure(() => streamRows(plain(4), { order: { window: 2, seed: 1 }, from: cursor }), 'FT_INVALID_ARGUMENT')
    await failure(async () => streamRows(plain(4), { from: (await streamRows(plain(4), { order: { window: 2, seed: 1 } })).cursor() }), 'FT_INVALID_ARGUMENT')
  })
})

describe('a stream of rows that is cut', () => {
  it('goes on with the same rows, wherever it was cut', async () => {
    const files = fc.array(fc.record({ rows: fc.nat({ max: 30 }), extension: fc.constantFrom('jsonl', 'json', 'csv', 'txt') }), { minLength: 1, maxLength: 3 })
    await fc.assert(fc.asyncProperty(files, fc.nat(), fc.option(fc.constantFrom('first_exhausted' as const, 'all_exhausted' as const), { nil: undefined }), async (made, at, stop) => {
      const input = made.map(({ rows, extension }, i) => {
        const values = named(`${i}-`, rows)
        const text = extension === 'jsonl' ? jsonl(values) : extension === 'json' ? JSON.stringify(values) : `${extension === 'csv' ? 'text\n' : ''}${values.map((row) => `${String(row.text)}\n`).join('')}`
        return { path: folder.write(`cut/${i}.${extension}`, text), ...(stop === undefined ? {} : { weight: i + 1 }) }
      })
      const options = { mix: { seed: at, stop } }
      const all = await rowsOf(input, options)
      const cut = at % (all.length + 1)
      const first = await streamRows(input, options)
      const before: unknown[] = []
      if (cut > 0) {
        for await (const row of first) {
          before.push('value' in row && row.value)
          if (before.length === cut) break
        }
      }
      const after = await rowsOf(input, { ...options, from: JSON.parse(JSON.stringify(first.cursor())) as NonNullable<StreamRowsOptions['from']> })
      expect([...before, ...after]).to.deep.equal(all)
    }), { numRuns: 80 })
  })
})
