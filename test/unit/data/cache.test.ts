// Prepared rows are kept by what they were made of: they come back the same, damage and other writers cost time and nothing else, and
// what a killed run has tokenized is not tokenized again.
import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { loadTokenizer, prepareDataset, type EncodedRow, type PreparedDataset, type PrepareDatasetOptions, type TextTokenizer } from '../../../lib/data/index.js'
import { failure, fixture, rowFiles, temporaryFolder } from './helpers.js'

const plain = (rows: readonly EncodedRow[]): number[][][] => rows.map((row) => [[...row.inputIds], [...row.labels]])
const whole = ({ train, validation, ...rest }: PreparedDataset): unknown => ({ train: plain(train), validation: plain(validation), ...rest })

describe('the cache of prepared rows', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()
  let real: TextTokenizer
  /** Rows that were tokenized. */
  let tokenized = 0
  let cacheCount = 0
  before(async () => (real = await loadTokenizer(fixture('tokenizers/llama3-style'))))
  after(() => real.dispose())
  beforeEach(() => (tokenized = 0))

  const watched = (): TextTokenizer => ({
    ...real,
    encodeRequests: (requests) => {
      tokenized += requests.length
      return real.encodeRequests(requests)
    },
  })
  const write = rowFiles(folder)
  const rows = Array.from({ length: 50 }, (_, i) => (i % 3 === 0 ? { text: `row ${i} of the data` } : { prompt: `p${i}`, completion: ' c'.repeat(i) }))
  const cacheFolder = (): string => folder.path(`cache-${cacheCount++}`)
  const prepare = (paths: string, cache: string, options: Partial<PrepareDatasetOptions> = {}): Promise<PreparedDataset> =>
    prepareDataset({ paths, seed: 1, tokenizer: watched(), maxSeqLength: 64, validationRatio: 0.2, cache: { folder: cache, leastBytes: 0 }, ...options })
  const entries = (cache: string): string[] => readdirSync(cache).filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => path.join(cache, name))
  const leftovers = (cache: string): string[] => readdirSync(cache).filter((name) => name !== 'files' && !/^[0-9a-f]{64}$/.test(name))

  it('gives the same rows and report without tokenizing, from memory or from the file', async () => {
    const [data, cache] = [write(rows, 'same.jsonl'), cacheFolder()]
    const first = await prepare(data, cache)
    expect(tokenized).to.equal(50)
    for (const memoryBudget of [undefined, 0]) {
      tokenized = 0
      expect(whole(await prepare(data, cache, { memoryBudget }))).to.deep.equal(whole(first))
      expect(tokenized).to.equal(0)
    }
    expect(entries(cache)).to.have.lengthOf(1)
    expect(leftovers(cache)).to.deep.equal([])
  })

  it('is kept by content and options: a new time changes nothing, a new byte or option does', async () => {
    const [data, cache] = [write(rows, 'content.jsonl'), cacheFolder()]
    await prepare(data, cache)
    const old = new Date(Date.now() - 86_400_000)
    utimesSync(data, old, old)
    tokenized = 0
    await prepare(data, cache)
    await prepare(data, cache)
    expect(tokenized).to.equal(0)
    const same = readFileSync(data, 'utf8')
    writeFileSync(data, same.replace('row 0', 'row x'))
    utimesSync(data, old, old)
    await prepare(data, cache)
    expect(tokenized, 'same size and time, another byte').to.equal(50)
    writeFileSync(data, same)
    tokenized = 0
    await prepare(data, cache)
    expect(tokenized).to.equal(0)
    const others: Partial<PrepareDatasetOptions>[] = [{ maxSeqLength: 63 }, { seed: 2 }, { trainOnPrompt: true }, { validationRatio: 0.1 }, { filters: [{ filter: 'length', minTokens: 5 }] }, { chatTemplate: 'chatml' }, { maxSamples: 30 }]
    for (const [i, changed] of others.entries()) {
      tokenized = 0
      await prepare(data, cache, changed).catch((error: unknown) => expect(String(error)).to.include('filter'))
      expect(entries(cache).length, JSON.stringify(changed)).to.be.at.most(3 + i)
      if (i !== 4) expect(tokenized, JSON.stringify(changed)).to.be.greaterThan(0)
    }
    const file = write([{ required: [] }], 'schema.json')
    await prepare(data, cache, { rowSchema: file })
    writeFileSync(file, '{"properties": {"text": {"type": "string"}}}')
    tokenized = 0
    await prepare(data, cache, { rowSchema: file })
    expect(tokenized).to.equal(50)
  })

  it('is not kept where nobody can tell what a program gives, nor what fails', async () => {
    const cache = cacheFolder()
    await prepare(write(rows, 'small.jsonl'), cache, { cache: { folder: cache } })
    await prepare(write(rows, 'function.jsonl'), cache, { filters: [() => true] })
    await failure(() => prepare(write([...rows, { nothing: 1 }], 'failing.jsonl'), cache), 'FT_NO_TEXT_COLUMNS')
    expect(existsSync(cache) ? entries(cache) : []).to.deep.equal([])
  })

  it('is made anew when it is damaged, whatever is', async () => {
    const [data, cache] = [write(rows, 'damage.jsonl'), cacheFolder()]
    const first = whole(await prepare(data, cache))
    const damages: ((entry: string) => void)[] = [
      (entry) => truncateSync(path.join(entry, 'tokens.bin'), 40),
      (entry) => appendFileSync(path.join(entry, 'index.bin'), 'x'),
      (entry) => writeFileSync(path.join(entry, 'manifest.json'), '{"train": 1'),
      (entry) => rmSync(path.join(entry, 'tokens.bin')),
      (entry) => {
        const tokens = readFileSync(path.join(entry, 'tokens.bin'))
        tokens[tokens.length >> 1]! ^= 4
        writeFileSync(path.join(entry, 'tokens.bin'), tokens)
      },
    ]
    for (const [i, damage] of damages.entries()) {
      damage(entries(cache)[0]!)
      tokenized = 0
      expect(whole(await prepare(data, cache)), `damage ${i}`).to.deep.equal(first)
      expect(tokenized, `damage ${i}`).to.equal(50)
      tokenized = 0
      await prepare(data, cache)
      expect(tokenized, `after damage ${i}`).to.equal(0)
    }
  })

  it('takes two writers at once', async () => {
    const [data, cache] = [write(rows, 'two.jsonl'), cacheFolder()]
    const both = await Promise.all([prepare(data, cache), prepare(data, cache), prepare(data, cache)])
    expect(whole(both[1])).to.deep.equal(whole(both[0]))
    expect(entries(cache)).to.have.lengthOf(1)
    expect(leftovers(cache)).to.deep.equal([])
  })

  it('lets those go that were used longest ago', async () => {
    const cache = cacheFolder()
    const limit = { folder: cache, leastBytes: 0, limit: 20_000 }
    const files = [0, 1, 2, 3].map((i) => write(rows.map((row) => ({ ...row, id: i })), `lru-${i}.jsonl`))
    const used = Date.now() / 1000 - 1000
    for (const [i, file] of files.slice(0, 2).entries()) {
      await prepare(file, cache, { cache: limit })
      for (const entry of entries(cache)) if (statSync(path.join(entry, 'manifest.json')).mtimeMs / 1000 > used + 900) utimesSync(path.join(entry, 'manifest.json'), used + i, used + i)
    }
    const size = entries(cache).reduce((sum, entry) => sum + readdirSync(entry).reduce((bytes, name) => bytes + statSync(path.join(entry, name)).size, 0), 0) / 2
    const room = { ...limit, limit: 2.5 * size }
    await prepare(files[0]!, cache, { cache: room })
    await prepare(files[2]!, cache, { cache: room })
    tokenized = 0
    await prepare(files[0]!, cache, { cache: room })
    expect(tokenized, 'used again, so it stayed').to.equal(0)
    expect(entries(cache)).to.have.lengthOf(2)
    await prepare(files[1]!, cache, { cache: room })
    expect(tokenized, 'used longest ago').to.equal(50)
  })

  it('is of the day and the time zone whose date a template writes', async () => {
    const cache = cacheFolder()
    const data = write([{ messages: [{ role: 'user', content: 'q' }, { role: 'assistant', content: 'a' }] }], 'dated.jsonl')
    const template = folder.write('dated.jinja', "{{ strftime_now('%Y-%m-%d %H %z') }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}")
    const saved = process.env.TZ
    // Hours apart on both sides of the zero meridian: at any time some of them have another date than UTC has.
    const zones = ['Pacific/Kiritimati', 'Pacific/Pago_Pago', 'UTC', 'Asia/Tokyo']
    try {
      for (const zone of [...zones, ...zones]) {
        process.env.TZ = zone
        const { train } = await prepare(data, cache, { chatTemplate: template, validationRatio: 0, now: undefined })
        const text = await real.decode([...train[0]?.inputIds ?? []])
        expect(text, zone).to.include(new Date().toLocaleDateString('sv'))
      }
      expect(entries(cache)).to.have.lengthOf(zones.length)
      const now = new Date('2024-05-05T12:00:00Z')
      const dated = async (zone: string): Promise<string> => {
        process.env.TZ = zone
        return await real.decode([...(await prepare(data, cache, { chatTemplate: template, validationRatio: 0, now })).train[0]?.inputIds ?? []])
      }
      expect(await dated('UTC')).to.include('2024-05-05 12')
      expect(await dated('Pacific/Kiritimati')).to.include('2024-05-06 02')
    } finally {
      if (saved === undefined) delete process.env.TZ
      else process.env.TZ = saved
    }
  })

  it('goes on where a run was stopped, with the same rows', async () => {
    const many = Array.from({ length: 1000 }, (_, i) => ({ prompt: `p${i} <|eot_id|>`, completion: ` c ${i}` }))
    const [data, cache] = [write(many, 'journal.jsonl'), cacheFolder()]
    const expected = whole(await prepare(data, cacheFolder()))
    const gone = { pid: spawnSync('true').pid, touched: Date.now() / 1000 }
    // Its number belongs to another process now, which began after the lock was made.
    const reused = { pid: process.pid, touched: 1e9 }
    for (const [cut, { pid, touched }] of [[0, gone], [7, gone], [0, reused]] as const) {
      rmSync(cache, { recursive: true, force: true })
      const stop = new AbortController()
      await failure(() => prepare(data, cache, { signal: stop.signal, onProgress: ({ rows: done }) => done >= 600 && stop.abort() }), 'FT_CANCELLED')
      const [journal] = leftovers(cache).filter((name) => name.endsWith('.journal'))
      expect(journal).to.be.a('string')
      // A record that a kill cut off, and the lock of a process that is no more.
      if (cut > 0) truncateSync(path.join(cache, journal!), statSync(path.join(cache, journal!)).size - cut)
      writeFileSync(path.join(cache, `${journal}.lock`), String(pid))
      utimesSync(path.join(cache, `${journal}.lock`), touched, touched)
      tokenized = 0
      expect(whole(await prepare(data, cache))).to.deep.equal(expected)
      expect(tokenized).to.be.within(1, cut > 0 ? 600 : 400)
      expect(leftovers(cache)).to.deep.equal([])
    }
  })

  it('passes over a folder that cannot be used', async () => {
    const data = write(rows, 'readonly.jsonl')
    const file = folder.write('not-a-folder', 'x')
    expect((await prepare(data, file)).train).to.have.lengthOf(40)
    const cache = cacheFolder()
    mkdirSync(cache)
    writeFileSync(path.join(cache, 'files'), 'x')
    expect((await prepare(data, cache)).train).to.have.lengthOf(40)
  })
})
