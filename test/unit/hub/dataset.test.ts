// Data sets of the hub, from a server on this machine: which files are read, how much of them, and what is said of faults.
import { expect } from 'chai'
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import zlib from 'node:zlib'
import { exitCodeOf } from '../../../lib/core/errors/index.js'
import { setHubHost } from '../../../lib/hub/index.js'
import { loadTokenizer } from '../../../lib/data/index.js'
import { registerLoader } from '../../../lib/data/loaders/index.js'
import { streamSource } from '../../../lib/data/loaders/bytes.js'
import { readFileRows } from '../../../lib/data/loaders/open.js'
import { findFiles } from '../../../lib/data/pipeline.js'
import { streamRows, type StreamRowsOptions } from '../../../lib/data/sources/stream.js'
import { failure, fixture, temporaryFolder } from '../data/helpers.js'
import { startHub, type HubServer } from '../support/hub-server.js'

const folder = temporaryFolder()
const parquet = readFileSync(fixture('parquet/flat-snappy.parquet'))
const parquetRows = JSON.parse(readFileSync(fixture('parquet/flat.json'), 'utf8')) as { text: string | null }[]
const jsonl = (text: string): string => Array.from({ length: 40 }, (_, i) => `${JSON.stringify({ text: `${text}${i}` })}\n`).join('')
let hub: HubServer
let count = 0
const saved = { ...process.env }

before(async () => {
  hub = await startHub()
})
after(async () => {
  for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name]
  Object.assign(process.env, saved)
  await hub.close()
})
beforeEach(() => {
  Object.assign(hub, { rules: [], redirect: false, token: undefined })
  hub.seen.length = 0
  Object.assign(process.env, { HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: folder.path(`cache${++count}`), HF_HUB_OFFLINE: '', HF_HUB_ETAG_TIMEOUT: '2', HF_HUB_DOWNLOAD_TIMEOUT: '1' })
})

async function texts(name: string, options: StreamRowsOptions = {}): Promise<unknown[]> {
  const rows: unknown[] = []
  for await (const row of await streamRows(name, options)) rows.push('value' in row ? row.value.text : row.problem)
  return rows
}

const numbered = (text: string): string[] => Array.from({ length: 40 }, (_, i) => `${text}${i}`)

describe('a data set of the hub', () => {
  it('is read by its splits, from the cache the second time', async () => {
    hub.add('datasets', 'org/data', { 'README.md': '# x', 'train.jsonl': jsonl('t'), 'dev.jsonl': jsonl('d'), 'script.bin': 'x' })
    expect(await texts('org/data')).to.deep.equal(numbered('t'))
    expect(hub.downloads('dev.jsonl')).to.have.length(0)
    expect(await texts('org/data', { split: 'validation' })).to.deep.equal(numbered('d'))
    hub.seen.length = 0
    expect(await texts('org/data')).to.deep.equal(numbered('t'))
    expect(hub.downloads('.jsonl')).to.have.length(0)
    process.env.HF_HUB_OFFLINE = '1'
    expect(await texts('org/data')).to.deep.equal(numbered('t'))
    expect(hub.downloads('dev.jsonl')).to.have.length(0)
    await failure(() => texts('org/another'), 'FT_DATASET')
  })

  it('has configurations, revisions and files of its own choice', async () => {
    const readme = '---\nconfigs:\n- config_name: en\n  data_files: "en/*"\n- config_name: de\n  data_files:\n  - split: train\n    path: de.csv.gz\n---\n'
    hub.add('datasets', 'org/many', { 'README.md': readme, 'en/a.jsonl': jsonl('a'), 'en/b.jsonl': jsonl('b'), 'de.csv.gz': zlib.gzipSync('text\nGröße\n') })
    hub.add('datasets', 'org/many', { 'x.txt': 'old' }, 'v1')
    expect((await failure(() => texts('org/many'), 'FT_DATASET')).remedy).to.include('en, de')
    expect(await texts('org/many', { settings: { config: 'en' } })).to.deep.equal([...numbered('a'), ...numbered('b')])
    expect(await texts('org/many', { settings: { config: 'de' } })).to.deep.equal(['Größe'])
    expect(await texts('org/many', { settings: { revision: 'v1' } })).to.deep.equal(['old'])
    expect(await texts('org/many@v1')).to.deep.equal(['old'])
    expect(await texts('hf://datasets/org/many@v1/x.txt')).to.deep.equal(['old'])
    expect(await texts('hf://datasets/org/many/en/*.jsonl')).to.deep.equal([...numbered('a'), ...numbered('b')])
    await failure(() => texts('hf://datasets/org/many/fr.csv'), 'FT_HUB_NOT_FOUND')
    await failure(() => texts('org/many@v9'), 'FT_HUB_NOT_FOUND')
  })

  it('is of one commit, however often it is named in what is read together', async () => {
    hub.add('datasets', 'org/both', { 'train.jsonl': jsonl('t'), 'dev.jsonl': jsonl('d') })
    const seen = { push: hub.seen.push.bind(hub.seen) }
    // The branch moves after the first question.
    hub.seen.push = (...all) => {
      const length = seen.push(...all)
      if (all.some((one) => one.path.includes('/tree/'))) hub.add('datasets', 'org/both', { 'train.jsonl': jsonl('new') })
      return length
    }
    try {
      const tokenizer = await loadTokenizer(fixture('tokenizers/llama3-style'))
      const { train } = await findFiles({ paths: 'org/both', validationPath: [{ path: 'org/both', split: 'validation' }], seed: 1, tokenizer, maxSeqLength: 64 })
      const sets = await findFiles({ paths: ['org/both', 'org/both'], validationPath: 'hf://datasets/org/both/train.jsonl', seed: 1, tokenizer, maxSeqLength: 64 })
      tokenizer.dispose()
      expect(train.map((file) => file.path.split('@')[1])).to.have.length(1)
      expect(new Set([...sets.train, ...sets.validation].map((file) => file.path))).to.have.length(1)
      expect(hub.seen.filter((one) => one.path.includes('/revision/'))).to.have.length(2)
    } finally {
      hub.seen.push = seen.push
    }
  })

  it('made by a script alone comes from the Parquet that the hub makes of it', async () => {
    hub.add('datasets', 'org/scripted', { 'scripted.py': 'import os', 'README.md': 'x' })
    await failure(() => texts('org/scripted'), 'FT_DATASET')
    hub.add('datasets', 'org/scripted', { 'default/train/0000.parquet': parquet, 'default/test/0000.parquet': parquet, 'other/partial-train/0000.parquet': parquet }, 'refs/convert/parquet')
    expect(await texts('org/scripted')).to.deep.equal(parquetRows.map((row) => row.text))
    expect(await texts('org/scripted', { settings: { config: 'other' } })).to.have.length(parquetRows.length)
    expect(hub.downloads('scripted.py')).to.have.length(0)
  })
})

describe('a data set of which an older commit is in the cache', () => {
  beforeEach(async () => {
    hub.add('datasets', 'org/moving', { 'README.md': '# 1', 'train.jsonl': jsonl('old'), 'extra/more.txt': 'x' })
    expect(await texts('org/moving')).to.deep.equal(numbered('old'))
    hub.add('datasets', 'org/moving', { 'README.md': '# 2', 'train.jsonl': jsonl('new'), 'extra/more.txt': 'x' })
  })

  for (const fault of [{ status: 503 }, { reset: 10 }] as const) {
    it(`is read as it is now, after ${JSON.stringify(fault)} of every file`, async () => {
      hub.rules = ['/api/', 'README.md', 'train.jsonl'].map((part) => ({ path: part, fault }))
      expect(await texts('org/moving')).to.deep.equal(numbered('new'))
    })
  }

  it('ends where a file of the new one cannot be had, and is not read as it was', async () => {
    for (const part of ['README.md', 'train.jsonl']) {
      hub.rules = [{ path: part, fault: { status: 404 } }]
      await failure(() => texts('org/moving'), 'FT_HUB_NOT_FOUND')
    }
  })

  it('serves where the hub does not give it at all', async () => {
    for (const fault of [{ status: 401 }, { status: 403 }, { status: 404 }, { reset: -1 }] as const) {
      hub.rules = [{ path: '/api/', fault, times: 9 }]
      expect(await texts('org/moving')).to.deep.equal(numbered('old'))
    }
    hub.rules = [{ path: '/api/', fault: { status: 404, headers: { 'x-error-code': 'RevisionNotFound' } }, times: 9 }]
    await failure(() => texts('org/moving'), 'FT_HUB_NOT_FOUND')
  })

  it('gives the files that are asked for, or says that they are not there', async () => {
    hub.rules = [{ path: '/api/', fault: { status: 404 }, times: 9 }]
    expect(await texts('hf://datasets/org/moving/train.jsonl')).to.deep.equal(numbered('old'))
    await failure(() => texts('hf://datasets/org/moving/extra/more.txt'), 'FT_HUB_NOT_FOUND')
    process.env.HF_HUB_OFFLINE = '1'
    expect(await texts('hf://datasets/org/moving/*.jsonl')).to.deep.equal(numbered('old'))
    await failure(() => texts('hf://datasets/org/moving/extra/more.txt'), 'FT_DATASET')
  })
})

describe('a data set of which a part is in the cache', () => {
  it('is not read as if it were whole', async () => {
    hub.add('datasets', 'org/parts', { 'README.md': '# 1', 'a.jsonl': jsonl('a'), 'b.jsonl': jsonl('b'), 'c.jsonl': jsonl('c') })
    for await (const row of await streamRows('org/parts')) if ('value' in row && row.value.text === 'b3') break
    const snapshot = `${process.env.HF_HUB_CACHE}/datasets--org--parts/snapshots/${hub.commitOf('datasets', 'org/parts')}`
    expect(readdirSync(snapshot).sort()).to.deep.equal(['README.md', 'a.jsonl', 'b.jsonl'])
    hub.seen.length = 0
    process.env.HF_HUB_OFFLINE = '1'
    expect((await failure(() => texts('org/parts'), 'FT_HUB')).message).to.include('c.jsonl').and.include('HF_HUB_OFFLINE')
    expect(await texts('hf://datasets/org/parts/[ab].jsonl')).to.deep.equal([...numbered('a'), ...numbered('b')])
    expect(hub.seen).to.have.length(0)
    process.env.HF_HUB_OFFLINE = ''
    hub.rules = [{ path: '/api/', fault: { status: 401 }, times: 9 }, { path: 'c.jsonl', fault: { status: 401 }, times: 1 }]
    await failure(() => texts('org/parts'), 'FT_HUB_AUTH')
    // What is missing is fetched where that can be done.
    expect(await texts('org/parts')).to.deep.equal([...numbered('a'), ...numbered('b'), ...numbered('c')])
    process.env.HF_HUB_OFFLINE = '1'
    expect(await texts('org/parts')).to.have.length(120)
  })

  it('that another program fetched, or whose list of files is damaged, is what is there', async () => {
    hub.add('datasets', 'org/theirs', { 'a.jsonl': jsonl('a') })
    await texts('org/theirs')
    const listing = `${process.env.HF_HUB_CACHE}/datasets--org--theirs/listings/${hub.commitOf('datasets', 'org/theirs')}.json`
    process.env.HF_HUB_OFFLINE = '1'
    for (const text of ['[{"path":"../../x.jsonl","size":1,"oid":"00"}]', '[{"path":"a.jsonl","size":-1,"oid":"x"}]', '{', '[null]', null]) {
      if (text === null) rmSync(listing)
      else writeFileSync(listing, text)
      expect(await texts('org/theirs')).to.deep.equal(numbered('a'))
    }
  })
})

describe('a loader from outside', () => {
  it('gets a file of the hub as a file of this machine, and no streams', async () => {
    registerLoader({
      name: 'shout',
      extensions: ['.shout'],
      async *load(file) {
        yield await Promise.resolve({ place: { file, line: 1 }, value: { text: readFileSync(file, 'utf8').toUpperCase() } })
      },
    })
    hub.add('datasets', 'org/shouted', { 'a.shout': 'hello' })
    expect(await texts('org/shouted')).to.deep.equal(['HELLO'])
    const source = streamSource('(standard input)', Readable.from([Buffer.from('x')]))
    const read = async (): Promise<void> => {
      for await (const row of readFileRows({ path: '-', bytes: 0, read: { source, format: 'shout' } })) throw new Error(String(row))
    }
    await failure(read, 'FT_DATASET')
  })
})

describe('Parquet of the hub', () => {
  beforeEach(() => hub.add('datasets', 'org/table', { 'data/train-00000-of-00001.parquet': parquet }))

  for (const redirect of [false, true]) {
    it(`is read by ranges, and only as far as rows are wanted${redirect ? ', from another host' : ''}`, async () => {
      hub.redirect = redirect
      expect(await texts('org/table')).to.deep.equal(parquetRows.map((row) => row.text))
      const parts = hub.downloads('parquet')
      expect(parts.every((one) => one.range !== undefined)).to.equal(true)
      expect(existsSync(`${process.env.HF_HUB_CACHE}/datasets--org--table/blobs`)).to.equal(false)
    })
  }

  it('reads one row group at a time, and only columns that are wanted', async () => {
    const large = readFileSync(fixture('parquet/nested.parquet'))
    hub.add('datasets', 'org/padded', { 'a.parquet': large })
    const bytes = async (options: StreamRowsOptions): Promise<number> => {
      hub.seen.length = 0
      for await (const row of await streamRows('org/padded', options)) if ('value' in row) break
      return hub.downloads('parquet').reduce((sum, { range }) => sum + rangeLength(range), 0)
    }
    // The tail holds the whole of a small file: what comes from it is not asked for again.
    expect(await bytes({})).to.be.at.most(large.length)
    expect(await bytes({ settings: { columns: ['meta'] } })).to.be.at.most(large.length)
  })

  it('survives what a download survives', async () => {
    for (const fault of [{ reset: 100 }, { reset: -1 }, { truncate: 50 }, { stall: 10 }, { status: 503 }, { status: 429, headers: { 'retry-after': '0' } }, { wrongRange: true }] as const) {
      hub.rules = [{ path: '.parquet', fault }]
      expect(await texts('org/table'), JSON.stringify(fault)).to.have.length(parquetRows.length)
    }
  })

  it('downloads the file where the server knows no ranges', async () => {
    hub.rules = [{ path: '.parquet', fault: { noRange: true }, times: 99 }]
    expect(await texts('org/table')).to.have.length(parquetRows.length)
    expect(readdirSync(`${process.env.HF_HUB_CACHE}/datasets--org--table/blobs`)).to.have.length(1)
  })

  it('stops where the file changes between two parts', async () => {
    const big = readFileSync(fixture('parquet/flat-v2.parquet'))
    // A footer far from the columns: the tail does not hold them.
    const padded = padParquet(big, 1 << 17)
    hub.add('datasets', 'org/changing', { 'a.parquet': padded })
    expect(await texts('org/changing')).to.have.length(parquetRows.length)
    hub.rules = [{ path: '.parquet', fault: { etag: '"first"' } }]
    expect((await failure(() => texts('org/changing'), 'FT_HUB')).message).to.include('changed while it was read')
  })

  it('says who may not read it', async () => {
    hub.token = 'hf_right'
    expect(exitCodeOf(await failure(() => texts('org/table'), 'FT_HUB_AUTH'))).to.equal(4)
    process.env.HF_TOKEN = 'hf_right'
    expect(await texts('org/table')).to.have.length(parquetRows.length)
    expect(exitCodeOf(await failure(() => texts('org/missing'), 'FT_HUB_NOT_FOUND'))).to.equal(3)
    delete process.env.HF_TOKEN
  })

  it('can be interrupted by the program that runs it', async () => {
    const stop = new AbortController()
    hub.rules = [{ path: '.parquet', fault: { stall: 5 } }]
    setHubHost({ signal: stop.signal })
    setTimeout(() => stop.abort(), 50)
    try {
      await failure(() => texts('org/table'), 'FT_CANCELLED')
    } finally {
      setHubHost({})
    }
  })
})

function rangeLength(range: string | undefined): number {
  const [, start = 0, end = 0] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []
  return Number(end) - Number(start) + 1
}

/** Bytes that belong to nothing between the columns and the footer. */
function padParquet(file: Buffer, bytes: number): Buffer {
  const footer = file.readUInt32LE(file.length - 8) + 8
  return Buffer.concat([file.subarray(0, -footer), Buffer.alloc(bytes), file.subarray(-footer)])
}
