// Rows tokenized by several threads are those that one makes, faults included; and nothing is left of the threads.
import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'chai'
import { loadTokenizer, prepareDataset, type EncodedRow, type PreparedDataset, type PrepareDatasetOptions, type TextTokenizer } from '../../../lib/data/index.js'
import { EncodePool } from '../../../lib/data/tokenizing/pool.js'
import { failure, fixture, temporaryFolder } from './helpers.js'

const plain = (rows: readonly EncodedRow[]): number[][][] => rows.map((row) => [[...row.inputIds], [...row.labels]])

describe('tokenizing threads', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()
  let tokenizer: TextTokenizer
  before(async () => (tokenizer = await loadTokenizer(fixture('tokenizers/llama3-style'))))
  after(() => tokenizer.dispose())

  const rows = Array.from({ length: 700 }, (_, i) => [
    { text: `text number ${i}, über ${'word '.repeat(i % 40)}` },
    { prompt: `question ${i}? <|eot_id|>`, completion: ` answer ${i}` },
    { messages: [{ role: 'user', content: `hello ${i}` }, { role: 'assistant', content: `ho ${i}`, weight: i % 5 === 0 ? 0 : 1 }] },
    { input_ids: [1, 2, 3 + (i % 100)], labels: [-100, 2, 7] },
  ][i % 4])
  const write = (name: string, more: readonly unknown[] = []): string => folder.write(name, [...rows, ...more].map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'))
  const prepare = (paths: string, threads: number, options: Partial<PrepareDatasetOptions> = {}): Promise<PreparedDataset> =>
    prepareDataset({ paths, seed: 1, tokenizer, maxSeqLength: 256, validationRatio: 0.1, threads, ...options })
  const whole = ({ train, validation, ...rest }: PreparedDataset): unknown => ({ train: plain(train), validation: plain(validation), ...rest })

  /** Template processes whose parent this one is; the loader of TypeScript has some of its own. */
  const children = (): string[] => readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).filter((pid) => {
    try {
      const own = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === String(process.pid)
      return own && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('templates/worker')
    } catch {
      return false
    }
  })

  it('make the rows that one thread makes, and end', async () => {
    const file = write('same.jsonl')
    const before = children()
    const alone = whole(await prepare(file, 1))
    expect(whole(await prepare(file, 2))).to.deep.equal(alone)
    expect(children()).to.deep.equal(before)
  })

  it('say what is wrong with which row', async () => {
    const file = write('faults.jsonl', [{ input_ids: [1, 10_000_000] }])
    const error = await failure(() => prepare(file, 2), 'FT_DATASET_ROW')
    expect(error.message).to.match(/faults\.jsonl:701: input_ids\.1/)
    const chats = folder.write('chats.jsonl', JSON.stringify(rows[2]))
    const chatTemplate = folder.write('loop.jinja', '{{ raise_exception("no") }}')
    expect((await failure(() => prepare(chats, 2, { chatTemplate }), 'FT_TEMPLATE')).message).to.match(/chats\.jsonl:1: .*no/)
    const good = await prepare(write('skipped.jsonl', ['{"input_ids": [1, 10000000]}']), 2, { onBadRow: 'skip' })
    expect(good.report.skippedBadRows).to.equal(1)
  })

  it('end when the run is cancelled', async () => {
    const before = children()
    const stop = new AbortController()
    await failure(() => prepare(write('cancelled.jsonl'), 2, { signal: stop.signal, onProgress: () => stop.abort() }), 'FT_CANCELLED')
    expect(children()).to.deep.equal(before)
  })

  it('that cannot start fail the work, and not the process', async () => {
    const pool = new EncodePool({ folder: folder.path('nowhere'), template: null, now: 0, trainOn: 'answers', endOfTurn: true, vocabSize: 10 }, 2)
    const row = { row: { kind: 'text' as const, text: 'a' }, place: { file: 'x', line: 1 }, shape: 'text', value: {} }
    await failure(() => pool.encode([row]), 'FT_TOKENIZER_MISSING')
    await pool.dispose()
    await failure(() => pool.encode([row]), 'FT_INTERNAL')
  })
})
