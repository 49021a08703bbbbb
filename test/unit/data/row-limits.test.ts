// Rows that are absurdly long never reach the tokenizer; and what filters take out is quoted where that is asked for, and only there.
import { expect } from 'chai'
import fc from 'fast-check'
import { DatasetAnalyzer, prepareDataset, type PrepareDatasetOptions, type TextTokenizer } from '../../../lib/data/index.js'
import { failure, rowFiles, temporaryFolder, tokenizers } from './helpers.js'

const folder = temporaryFolder()
const write = rowFiles(folder)

/** The same as one text, a pair, a conversation and an instruction of `size` characters. */
const shapes = (size: number, letter = 'a'): object[] => [
  { text: letter.repeat(size) },
  { prompt: letter.repeat(Math.floor(size / 2)), completion: letter.repeat(Math.ceil(size / 2)) },
  { messages: [{ role: 'user', content: letter.repeat(Math.floor(size / 2)) }, { role: 'assistant', content: letter.repeat(Math.ceil(size / 2)) }] },
]

describe('rows that are too long to tokenize', function () {
  this.timeout(60_000)
  const styles = tokenizers('qwen')
  /** Fails where more characters reach it than the limit. */
  const guarded = (limit: number): TextTokenizer => ({
    ...styles.qwen,
    encodeRequests: (requests) => {
      for (const { text } of requests) expect(text.length).to.be.at.most(limit)
      return styles.qwen.encodeRequests(requests)
    },
  })
  const prepare = (paths: string, options: Partial<PrepareDatasetOptions>): ReturnType<typeof prepareDataset> =>
    prepareDataset({ paths, seed: 1, tokenizer: styles.qwen, maxSeqLength: 4096, validationRatio: 0, allowTruncation: true, ...options })

  it('are bad rows, whatever their shape, with a way out', async () => {
    for (const row of shapes(101)) {
      const paths = write([{ text: 'short' }, row])
      const error = await failure(() => prepare(paths, { maxRowCharacters: 100 }), 'FT_DATASET_ROW')
      expect(error.message).to.match(/:2: the row has 101 characters, more than 100$/)
      expect(error.remedy).to.include('--max-row-characters').and.include('max_characters')
      expect((await failure(() => new DatasetAnalyzer({ paths, maxRowCharacters: 100 }).run(), 'FT_DATASET_ROW')).message).to.include(':2: the row has 101')
      expect((await prepare(paths, { maxRowCharacters: 101 })).train).to.have.length(2)
      const { lint } = await new DatasetAnalyzer({ paths, tokenizer: guarded(400), maxRowCharacters: 100, lint: true }).run()
      expect(lint?.rules.find(({ rule }) => rule === 'bad_rows')?.findings.map(({ line }) => line)).to.deep.equal([2])
    }
    for (const maxRowCharacters of [0, -1, 1.5]) await failure(() => prepare(write([{ text: 'a' }]), { maxRowCharacters }), 'FT_INVALID_ARGUMENT')
  })

  it('are refused without being asked to, before they cost memory', async () => {
    const paths = write([{ text: 'short' }, { text: 'ab '.repeat(700_000) }])
    const error = await failure(() => prepare(paths, { tokenizer: guarded(1 << 21) }), 'FT_DATASET_ROW')
    expect(error.message).to.include('the row has 2100000 characters, more than 2097152')
  })

  it('may be left out by a filter first, and rows in tokens are no text', async () => {
    const paths = write([{ text: 'short' }, ...shapes(500), { input_ids: Array<number>(500).fill(7) }])
    const { train, report } = await prepare(paths, { maxRowCharacters: 100, filters: [{ length: { max_characters: 200 } }] })
    // The ids as numbers are 999 characters: the filter looks at these.
    expect([train.length, report.filtered[0]?.removed, report.skippedBadRows]).to.deep.equal([1, 4, 0])
    expect((await prepare(write([{ input_ids: Array<number>(500).fill(7) }]), { maxRowCharacters: 100 })).train).to.have.length(1)
  })

  it('none of any size passes, and every shorter one does', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 2, max: 60 }), { minLength: 1, maxLength: 12 }), fc.integer({ min: 10, max: 50 }), async (sizes, limit) => {
      const rows = sizes.flatMap((size) => shapes(size)[size % 3] as object)
      const good = sizes.filter((size) => size <= limit).length
      const paths = write([...rows, ...Array.from({ length: 1200 }, () => ({ input_ids: [5, 6] }))], 'property.jsonl')
      const { train, report } = await prepare(paths, { tokenizer: guarded(limit + 100), maxRowCharacters: limit, onBadRow: 'skip' })
      expect([train.length - 1200, report.skippedBadRows]).to.deep.equal([good, sizes.length - good])
    }), { numRuns: 12 })
  })
})

describe('what filters take out', () => {
  const styles = tokenizers('llama3')
  const twin = 'the same forty words and more of a long story about the sea and its whales '.repeat(4)
  const rows = [...Array.from({ length: 30 }, (_, i) => ({ text: `row ${i} ${i % 3 === 0 ? '' : twin.slice(0, 20 * i)}` })), { text: ' \n' }, { text: `x\ud83d\udc4d${'y'.repeat(197)}\ud83d\udc4d` }]
  const filters = ['empty', { length: { max_characters: 300, min_tokens: 5 } }, { near_duplicates: { threshold: 0.9 } }, 'exact_duplicates']

  it('is quoted where that is asked for, shortened, and nowhere else', async () => {
    const options = { paths: write([{ text: 'z'.repeat(400) }, ...rows]), seed: 1, tokenizer: styles.llama3, maxSeqLength: 512, validationRatio: 0, filters }
    const plain = (await prepareDataset(options)).report
    const { report } = await prepareDataset({ ...options, filterExcerpts: true })
    expect(report.filtered.map(({ excerpts: _, ...rest }) => rest)).to.deep.equal(plain.filtered)
    expect(JSON.stringify(plain)).not.to.include('zzzz')
    for (const { examples, excerpts = [] } of report.filtered) expect(excerpts.map(({ place, reason }) => `${place}: ${reason}`)).to.deep.equal(examples)
    expect(report.filtered[0]?.excerpts?.[0]?.text).to.equal(' \n')
    expect(report.filtered[1]?.excerpts?.find(({ reason }) => reason.startsWith('400'))?.text).to.equal('z'.repeat(200))
    expect(report.warnings.join()).not.to.include('zzzz')
  })

  it('is quoted of rows that overlap with those held out', async () => {
    const validationPath = write([{ text: twin }])
    const { report } = await prepareDataset({ paths: write([{ text: 'something else' }, { text: `${twin}.` }]), validationPath, seed: 1, tokenizer: styles.llama3, maxSeqLength: 512, filters: ['validation_overlap'], filterExcerpts: true })
    expect(report.filtered[0]?.excerpts?.map(({ text }) => text)).to.deep.equal([twin.slice(0, 200)])
  })

  it('by tokens is said to be unknown where there are none', async () => {
    const { filtered, rows: left } = await new DatasetAnalyzer({ paths: write(rows), filters }).run()
    expect(filtered.map(({ needsTokens }) => needsTokens ?? false)).to.deep.equal([false, true, false, false])
    expect(left).to.be.greaterThan(0)
    expect((await new DatasetAnalyzer({ paths: write(rows), filters: [{ length: { max_characters: 9 } }], maxSamples: 3 }).run())).to.include({ rows: 3 })
  })
})
