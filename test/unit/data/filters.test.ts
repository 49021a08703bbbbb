// DatasetFilter: what each filter takes and leaves, what it reports, and that it takes nothing it does not report.
import { expect } from 'chai'
import fc from 'fast-check'
import { DatasetFilter, type FilterInput } from '../../../lib/data/dataset-filter.js'
import { filterKinds } from '../../../lib/data/filters/index.js'
import { loadTokenizer, prepareDataset, type LoadedRow, type PrepareDatasetOptions, type RowValue, type TextTokenizer } from '../../../lib/data/index.js'
import { failure, fixture, rowFiles, temporaryFolder } from './helpers.js'

const prose = (i: number): string => Array.from({ length: 40 }, (_, w) => `w${(i * 31 + w * 7) % 997}x${w}`).join(' ')

async function run(filters: FilterInput | readonly FilterInput[], values: readonly RowValue[]): Promise<{ kept: number[]; filter: DatasetFilter }> {
  const filter = new DatasetFilter(filters)
  const rows = values.map((value, i): LoadedRow => ({ value, place: { file: 'f', line: i + 1 } }))
  const kept: number[] = []
  for await (const row of filter.apply(rows)) kept.push(row.place.line)
  return { kept, filter }
}

const keptBy = async (filters: FilterInput | readonly FilterInput[], values: readonly RowValue[]): Promise<number[]> => (await run(filters, values)).kept

describe('filters', () => {
  it('empty: nothing visible, and empty answers', async () => {
    expect(await keptBy('empty', [{ text: ' \n\t' }, { text: 'a' }, { prompt: 'a', completion: ' ' }, { prompt: ' ', completion: 'b' }])).to.deep.equal([2, 4])
    const ask = { role: 'user', content: 'a' }
    const answers = [
      { content: ' ' }, { content: 'b' }, { content: '', tool_calls: [{ type: 'function', function: { name: 'f', arguments: {} } }] }, { content: '', reasoning_content: 'hm' }, { content: [{ type: 'text', text: '\n' }] },
    ].map((answer) => ({ messages: [ask, { role: 'assistant', ...answer }] }))
    expect(await keptBy('empty', [...answers, { messages: [ask, { role: 'assistant', content: '' }, ask, { role: 'assistant', content: 'b' }] }, { messages: [ask] }])).to.deep.equal([2, 3, 4, 6, 7])
  })

  it('length: both limits count as inside', async () => {
    const rows = ['', 'ab', 'abc', 'abcd', 'abcde'].map((text) => ({ text }))
    expect(await keptBy({ length: { min_characters: 2, max_characters: 4 } }, rows)).to.deep.equal([2, 3, 4])
  })

  it('control_characters: as many as the share allows', async () => {
    const rows = [{ text: 'tab\tand\r\nlines' }, { text: 'bell\u0007' }, { text: 'lost \ufffd' }, { text: `${'a'.repeat(99)}\u0000` }]
    expect(await keptBy('control_characters', rows)).to.deep.equal([1])
    expect(await keptBy({ control_characters: { max_share: 0.01 } }, rows)).to.deep.equal([1, 4])
  })

  it('repetition: lines and groups of words; short rows and prose stay', async () => {
    const lines = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 'All work and no play.' : `Line ${i} of the book.`)).join('\n')
    const loop = 'one two three four five six seven eight nine ten '.repeat(10)
    expect(await keptBy('repetition', [{ text: lines }, { text: loop }, { text: prose(1) + prose(2) }, { text: 'no no no no no' }])).to.deep.equal([3, 4])
    expect(await keptBy({ repetition: { max_lines: 1, max_ngrams: 1 } }, [{ text: lines }, { text: loop }])).to.deep.equal([1, 2])
  })

  it('exact_duplicates: the first stays; another shape is another row', async () => {
    expect(await keptBy('exact_duplicates', [{ text: 'a' }, { text: 'b' }, { text: 'a', id: 7 }, { prompt: 'x', completion: 'y' }, { text: 'x\ny' }])).to.deep.equal([1, 2, 4, 5])
  })

  it('near_duplicates: small changes do not hide a copy', async () => {
    const [text, other] = [prose(1), prose(2)]
    const near = text.toUpperCase().replaceAll(' ', ',  ').replace(/W\d+X20/, 'other')
    expect(await keptBy({ near_duplicates: { threshold: 0.7 } }, [{ text }, { text: other }, { text: near }, { text: '' }, { text: '' }])).to.deep.equal([1, 2, 4, 5])
    expect(await keptBy({ near_duplicates: { threshold: 1 } }, [{ text }, { text: near }])).to.deep.equal([1, 2])
  })

  it('expression: columns of the row, texts, numbers and lists', async () => {
    const rows = [
      { text: 'a b c', score: 4, lang: 'en', ok: true, 'two words': 1, meta: { stars: 5 } },
      { text: 'a', score: 2, lang: 'de', ok: false, 'two words': 2, meta: { stars: 1 } },
      { text: '', score: 4.5, lang: 'fr', ok: true, 'two words': 3, meta: { stars: 3 }, tags: ['x'] },
    ]
    for (const [keep, kept] of [
      ['score > 3', [1, 3]], ['score > 3 AND lang IN ("en", "de")', [1]], ['lang = "de" or lang <> "en"', [2, 3]], ['ok', [1, 3]], ['ok = TRUE', [1, 3]], ['not ok', [2]],
      ["'two words' >= 2", [2, 3]], ['words(text) == 3', [1]], ['length(text) < 2', [2, 3]], ['lang ~= "^(e|d)"', [1, 2]], ['stars of meta > 2', [1, 3]],
      ['exists(tags) and contains(tags, "x")', [3]], ['lower(upper(lang)) == "en"', [1]], ['lang == "and = or"', []], ['empty(text) or starts_with(text, "a b")', [1, 3]],
    ] as const) {
      expect(await keptBy({ expression: keep }, rows), keep).to.deep.equal(kept)
      expect(await keptBy({ expression: { keep } }, rows), keep).to.deep.equal(kept)
    }
  })

  it('expression: what cannot work is an error that says so', async () => {
    const rows = [{ text: 'SECRET', score: 1 }, { text: 'SECRET' }]
    const cases: readonly (readonly [string, 'FT_INVALID_CONFIG' | 'FT_DATASET_ROW', string])[] = [
      ['scoer > 1', 'FT_INVALID_CONFIG', '"scoer", which no row has'], ['exists(scoer)', 'FT_INVALID_CONFIG', '"scoer", which no row has'],
      ['score > 0', 'FT_DATASET_ROW', 'f:2'], ['text > 3', 'FT_DATASET_ROW', 'f:1'], ['text', 'FT_DATASET_ROW', 'not true or false'], ['score +', 'FT_INVALID_CONFIG', 'cannot be read'],
      ['nope(text)', 'FT_INVALID_CONFIG', 'nope'], ['text ~= "(?=a)"', 'FT_INVALID_CONFIG', 'RE2'], ['constructor', 'FT_INVALID_CONFIG', 'no row has'],
      ['toString()', 'FT_INVALID_CONFIG', 'toString'], ['__proto__ of text', 'FT_DATASET_ROW', 'not true or false'], [`${'('.repeat(4000)}1${')'.repeat(4000)}`, 'FT_INVALID_CONFIG', 'cannot be read'],
    ]
    for (const [keep, code, part] of cases) {
      const error = await failure(() => keptBy({ expression: keep }, rows), code)
      expect(error.message, keep).to.include(part).and.not.include('SECRET')
    }
    expect((await failure(() => keptBy({ expression: 'scoer > 1' }, rows), 'FT_INVALID_CONFIG')).remedy).to.include('score')
  })

  it('a function of a program keeps what it says, and may fail', async () => {
    const { kept, filter } = await run([function short(row) { return String(row.text).length < 3 }], [{ text: 'ab' }, { text: 'abc' }])
    expect(kept).to.deep.equal([1])
    expect(filter.report).to.deep.equal([{ filter: 'short', removed: 1, examples: ['f:2: not wanted'] }])
    await failure(() => keptBy(() => { throw new Error('oops') }, [{ text: 'a' }]), 'FT_DATASET_ROW')
  })

  it('unknown names and options are errors', async () => {
    const wrong: readonly (readonly [FilterInput, string])[] = [['empyt', 'empyt'], [{ length: {} }, 'at least one'], [{ length: { min: 3 } }, 'length'], [{ empty: {}, length: {} }, 'one name'], [3 as never, 'name'], [{ near_duplicates: { threshold: 2 } }, 'threshold'], ['expression', 'keep'], [{ expression: 5 }, 'expression']]
    for (const [entry, part] of wrong) {
      expect((await failure(() => new DatasetFilter([entry]), 'FT_INVALID_CONFIG')).message).to.include('dataset.filters[0]').and.include(part)
    }
  })

  it('never takes a row that it does not report, whatever comes', async () => {
    const text = fc.oneof(fc.string(), fc.constantFrom('', ' ', 'a', '\u0000', prose(3), prose(3).replace('w', 'v')))
    const value = fc.oneof(fc.record({ text }), fc.record({ prompt: text, completion: text }), fc.dictionary(fc.string(), fc.anything()))
    const names = filterKinds.names().filter((name) => !['expression', 'length'].includes(name))
    await fc.assert(fc.asyncProperty(fc.array(value, { maxLength: 30 }), fc.subarray([...names, { length: { min_characters: 1 } }]), async (values, filters) => {
      const { kept, filter } = await run(filters, values)
      expect(kept.length + filter.removed).to.equal(values.length)
      for (const { removed, examples } of filter.report) expect(examples).to.have.length(Math.min(removed, 5))
      const named = filter.report.flatMap(({ examples }) => examples.map((one) => Number(/^f:(\d+): /.exec(one)?.[1])))
      for (const line of named) expect(kept).not.to.include(line)
    }), { numRuns: 100 })
  })
})

describe('filters in prepareDataset', () => {
  const folder = temporaryFolder()
  let tokenizer: TextTokenizer
  before(async () => {
    tokenizer = await loadTokenizer(fixture('tokenizers/llama3-style'))
  })
  after(() => tokenizer.dispose())
  const write = rowFiles(folder)
  const prepare = (options: Partial<PrepareDatasetOptions> & Pick<PrepareDatasetOptions, 'paths'>) => prepareDataset({ seed: 1, tokenizer, maxSeqLength: 4096, validationRatio: 0, ...options })

  it('leaves rows out before and after tokenizing, and reports', async () => {
    const paths = write([{ text: 'one' }, { text: 'one' }, { text: '' }, { text: prose(1) }, { text: 'two' }], 'a.jsonl')
    const { train, report } = await prepare({ paths, filters: ['empty', 'exact_duplicates', { length: { max_tokens: 20 } }] })
    expect(train).to.have.length(2)
    expect(report.rows).to.equal(2)
    expect(report.filtered.map(({ filter, removed, examples }) => [filter, removed, examples[0]?.replace(/^.*:(\d+:)/, '$1')])).to.deep.equal([
      ['empty', 1, '3: nothing in it'], ['exact_duplicates', 1, '2: said by an earlier row'], ['length', 1, `4: ${(await tokenizer.encode(prose(1))).length + 1} tokens, more than 20`],
    ])
    expect(report.warnings.join()).to.include('3 rows left out by filters')
    const all = await failure(() => prepare({ paths, filters: [{ length: { min_characters: 1e6 } }] }), 'FT_EMPTY_DATASET')
    expect(all.message).to.include('length 5')
  })

  it('validation_overlap takes the training row and leaves the held-out one', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => ({ text: prose(i) }))
    const paths = write(rows, 'b.jsonl')
    const validationPath = write([rows[7]!, { text: prose(8).replace(/ w\d+x20/, ' changed') }, { text: prose(100) }], 'v.jsonl')
    const { train, validation, report } = await prepare({ paths, validationPath, validationRatio: undefined, filters: [{ validation_overlap: { threshold: 0.6 } }] })
    expect([train.length, validation.length, report.rows]).to.deep.equal([38, 3, 41])
    expect(report.filtered[0]?.examples.map((one) => /:(\d+): /.exec(one)?.[1])).to.deep.equal(['8', '9'])
    expect(report.tokens).to.equal([...train, ...validation].reduce((sum, row) => sum + row.inputIds.length, 0))
    // Held out by the seed: each row is there twice.
    const twice = write([...rows, ...rows], 'c.jsonl')
    const split = await prepare({ paths: twice, validationRatio: 0.25, filters: ['validation_overlap'] })
    const texts = async (list: typeof split.train) => new Set(await Promise.all(list.map((row) => tokenizer.decode(row.inputIds))))
    const held = await texts(split.validation)
    for (const text of await texts(split.train)) expect(held.has(text)).to.equal(false)
    expect(split.validation).to.have.length(20)
  })
})
