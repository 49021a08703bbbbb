// Rows to tokens and labels, truncation, what is refused, splits and fingerprints: the contract on rows.
import { expect } from 'chai'
import { describeDataset, loadTokenizer, prepareDataset, type PrepareDatasetOptions, type PreparedDataset, type TextTokenizer } from '../../../lib/data/index.js'
import { failure, fixture, rowFiles, temporaryFolder, tokenizers } from './helpers.js'

const folder = temporaryFolder()
type Row = Record<string, unknown>

const write = rowFiles(folder)

describe('prepareDataset', () => {
  const styles = tokenizers('llama3', 'qwen')

  const prepare = (rows: readonly (Row | string)[], options: Partial<PrepareDatasetOptions> = {}): Promise<PreparedDataset> =>
    prepareDataset({ paths: write(rows), seed: 42, tokenizer: styles.llama3, maxSeqLength: 1024, validationRatio: 0, ...options })

  /** Each row as its ids, and as the text of those that carry loss. */
  async function learned(tokenizer: TextTokenizer, prepared: PreparedDataset): Promise<string[]> {
    return await Promise.all(prepared.train.map((row) => tokenizer.decode(row.labels.filter((label) => label !== -100))))
  }

  describe('rows', () => {
    it('without paths or a tokenizer there is nothing to prepare', async () => {
      for (const options of [undefined, null, {}, { paths: 'x', maxSeqLength: 8, seed: 1 }]) await failure(() => prepareDataset(options as never), 'FT_INVALID_ARGUMENT')
    })

    it('text: BOS once, everything with loss, EOS once', async () => {
      const { train, report } = await prepare([{ text: 'Hello world' }])
      const text = [...(await styles.llama3.encode('Hello world', { addSpecialTokens: false }))]
      expect([...train[0]!.inputIds]).to.deep.equal([styles.llama3.bosTokenId, ...text, styles.llama3.eosTokenId])
      expect([...train[0]!.labels]).to.deep.equal([...train[0]!.inputIds])
      expect(report).to.include({ rows: 1, supervisedTokens: text.length + 1, tokens: text.length + 2, maxLength: text.length + 2, rowsWithoutLabels: 0 })
      expect(report.shapes).to.deep.equal({ text: 1 })
    })

    it('text: an EOS that the tokenizer adds itself is not doubled', async () => {
      const unigram = await loadTokenizer(fixture('tokenizers/unigram-style'))
      const { train } = await prepare([{ text: 'The harbour' }, { prompt: 'The', completion: ' harbour' }], { tokenizer: unigram })
      for (const row of train) expect([...row.inputIds].filter((id) => id === unigram.eosTokenId)).to.have.lengthOf(1)
      expect(train[1]!.labels.at(-1)).to.equal(unigram.eosTokenId)
      unigram.dispose()
    })

    it('prompt and completion: together, with loss from the boundary on', async () => {
      const prepared = await prepare([
        { prompt: 'What is the capital?', completion: ' Paris.' },
        { prompt: 'say nothing', completion: '' },
        { prompt: '', completion: 'all of it' },
        { prompt: '👍é今日', completion: '👍é今日' },
        { prompt: 'a<|eot_id|>', completion: '<|end_of_text|>b' },
      ])
      expect(await learned(styles.llama3, prepared)).to.deep.equal([
        ' Paris.<|end_of_text|>', '<|end_of_text|>', 'all of it<|end_of_text|>', '👍é今日<|end_of_text|>', '<|end_of_text|>b<|end_of_text|>',
      ])
      for (const row of prepared.train) {
        expect(row.inputIds[0]).to.equal(styles.llama3.bosTokenId)
        expect([...row.inputIds].filter((id) => styles.llama3.isSpecial(id))).to.deep.equal([styles.llama3.bosTokenId, styles.llama3.eosTokenId])
      }
      expect(prepared.report.warnings.join('\n')).to.include('empty completion').and.to.include('control tokens')
    })

    it('a token that spans the boundary carries loss', async () => {
      const together = await styles.llama3.encode('The harbour', { addSpecialTokens: false })
      for (let cut = 1; cut < 'The harbour'.length; cut++) {
        const { train } = await prepare([{ prompt: 'The harbour'.slice(0, cut), completion: 'The harbour'.slice(cut) }])
        const [row] = train
        expect([...row!.inputIds.slice(1, -1)], `cut at ${cut}`).to.deep.equal([...together])
        const unlearned = row!.labels.findIndex((label) => label !== -100)
        const before = await styles.llama3.decode(row!.inputIds.slice(1, unlearned))
        const through = await styles.llama3.decode(row!.inputIds.slice(1, unlearned + 1))
        expect(before.length, `cut at ${cut}`).to.be.at.most(cut)
        expect(through.length, `cut at ${cut}`).to.be.greaterThan(cut)
      }
    })

    it('conversations: every assistant turn with its end of turn, nothing added', async () => {
      const messages = [{ role: 'user', content: 'a?' }, { role: 'assistant', content: 'one' }, { role: 'user', content: 'b?' }, { role: 'assistant', content: 'two' }]
      const prepared = await prepare([{ messages }])
      expect(await learned(styles.llama3, prepared)).to.deep.equal(['one<|eot_id|>two<|eot_id|>'])
      expect(await styles.llama3.decode(prepared.train[0]!.inputIds)).to.match(/^<\|begin_of_text\|><\|start_header_id\|>user.*two<\|eot_id\|>$/s)
      expect(await learned(styles.qwen, await prepare([{ messages }], { tokenizer: styles.qwen }))).to.deep.equal(['one<|im_end|>\ntwo<|im_end|>\n'])
    })

    it('train_on_prompt gives every token loss', async () => {
      const prepared = await prepare([{ prompt: 'a', completion: 'b' }, { messages: [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }] }], { trainOnPrompt: true })
      for (const row of prepared.train) expect([...row.labels]).to.deep.equal([...row.inputIds])
    })

    it('loss on the last turn, or as each turn says', async () => {
      const talk = [{ role: 'user', content: 'a?' }, { role: 'assistant', content: 'one' }, { role: 'user', content: 'b?' }, { role: 'assistant', content: 'two' }]
      const flagged = talk.map((message, k) => (k === 1 ? { ...message, weight: 0 } : k === 2 ? { ...message, train: true } : message))
      const cases: [Row, PrepareDatasetOptions['trainOn'], string][] = [
        [{ messages: talk }, 'answers', 'one<|eot_id|>two<|eot_id|>'],
        [{ messages: talk }, 'last', 'two<|eot_id|>'],
        [{ messages: flagged }, 'answers', 'b?<|eot_id|>two<|eot_id|>'],
        [{ messages: flagged }, 'last', 'b?<|eot_id|>two<|eot_id|>'],
        [{ prompt: talk.slice(0, 3), completion: talk.slice(3) }, 'answers', 'two<|eot_id|>'],
      ]
      for (const [row, trainOn, expected] of cases) {
        expect(await learned(styles.llama3, await prepare([row], { trainOn })), trainOn).to.deep.equal([expected])
        // A template that marks what the assistant wrote says the same.
        const chatTemplate = fixture('tokenizers/templates/llama3-generation.jinja')
        expect(await learned(styles.llama3, await prepare([row], { trainOn, chatTemplate })), `${trainOn} by marks`).to.deep.equal([expected])
      }
      const [all] = (await prepare([{ messages: talk.map((message, k) => (k === 1 ? { ...message, weight: 0 } : message)) }], { trainOn: 'all' })).train
      expect(await styles.llama3.decode(all!.inputIds.filter((_, t) => all!.labels[t] === -100))).to.equal('one<|eot_id|>')
    }).timeout(60_000)

    it('conversations that name control tokens are told of; a word that is in one of them is not', async () => {
      const chat = (content: string): Row => ({ messages: [{ role: 'user', content }, { role: 'assistant', content: 'b' }] })
      expect((await prepare([chat('a'), chat('t'), chat('<')])).report.warnings).to.deep.equal([])
      expect((await prepare([chat('a'), chat('end it <|eot_id|>')])).report.warnings.join()).to.include('1 row with texts that name control tokens')
    })

    it('alpaca rows: a conversation, or Stanford\'s prompt without a template', async () => {
      const row = { instruction: 'Add.', input: '1 2', output: '3', history: [['a', 'b']] }
      expect(await learned(styles.llama3, await prepare([row]))).to.deep.equal(['b<|eot_id|>3<|eot_id|>'])
      const bare = await loadTokenizer(fixture('tokenizers/unigram-style'))
      const answers = { train: await prepare([row], { tokenizer: bare }), last: await prepare([row], { tokenizer: bare, trainOn: 'last' }) }
      expect((await learned(bare, answers.last))[0]).to.match(/^3<\/s>$/)
      expect((await learned(bare, answers.train))[0]).to.match(/^b ?3<\/s>$/)
      bare.dispose()
    })

    it('preferences and steps: known, and refused by name', async () => {
      for (const [row, methods] of [[{ prompt: 'p', chosen: 'c', rejected: 'r' }, 'DPO'], [{ prompt: 'p', completion: 'c', label: true }, 'KTO'], [{ prompt: 'p', completions: ['c'], labels: [true] }, 'process reward']] as const) {
        expect((await failure(() => prepare([row]), 'FT_DATASET_ROW')).message).to.match(/:1: /).and.to.include(methods)
      }
    })

    it('unknown columns: found by a detector, or as they were named', async () => {
      const rows = Array.from({ length: 3 }, (_, i) => ({ question: `What is ${i} and ${i}?`, answer: `The sum is ${2 * i}`, id: i }))
      const { report, train } = await prepare(rows)
      expect(train).to.have.lengthOf(3)
      expect(report.detection.join('; ')).to.match(/"question" is the instruction.*"answer" is the output/)
      // File by file, in a mixture too; one too short to tell is read as an earlier one with its columns.
      const prose = (i: number): string => `so much is said about number ${i} and others like it`
      const files = [rows, Array.from({ length: 30 }, (_, i) => ({ source: prose(i), target: prose(i + 1) })), Array.from({ length: 30 }, (_, i) => ({ body: prose(i), id: i })), [{ body: 'x', id: 1 }]].map((one) => write(one))
      for (const paths of [files, files.slice(0, 3).map((path) => ({ path, weight: 1 }))]) {
        const { report: both } = await prepareDataset({ paths, seed: 42, tokenizer: styles.llama3, maxSeqLength: 1024, validationRatio: 0, mixStop: 'all_exhausted' })
        expect(Object.keys(both.shapes).sort()).to.deep.equal(['alpaca', 'text'])
        expect(both.detection.join('; ')).to.match(/"question" is the instruction/).and.match(/"source" is the instruction/).and.match(/"body" is/)
      }
      expect(await learned(styles.llama3, await prepare(rows, { columns: { prompt: 'answer', completion: 'question' } }))).to.include('What is 1 and 1?<|end_of_text|>')
      expect(await learned(styles.llama3, await prepare(rows, { template: '{id}: {answer}' }))).to.include('<|begin_of_text|>1: The sum is 2<|end_of_text|>')
      expect((await failure(() => prepare(rows, { rowSchema: { properties: { id: { maximum: 1 } } } }), 'FT_DATASET_ROW')).message).to.match(/:3: id: must be <= 1/)
    })

    it('max samples: of the rows that stay, and none behind them is read', async () => {
      const long = { prompt: 'q', completion: ' w'.repeat(100) }
      const rows = [...Array.from({ length: 250 }, (_, i) => (i % 5 === 4 ? { prompt: 'q', completion: ` ${i}` } : long)), 'no row']
      for (const options of [{ filters: [{ length: { max_tokens: 20 } }] }, { overflow: 'drop', maxSeqLength: 20, allowTruncation: true }, { filters: [{ length: { max_characters: 20 } }] }] as const) {
        for (const maxSamples of [1, 49, 50]) {
          const { report, train } = await prepare(rows, { ...options, maxSamples })
          expect(train).to.have.lengthOf(maxSamples)
          expect((report.filtered[0]?.removed ?? 0) + report.droppedRows).to.equal(4 * maxSamples)
        }
        await failure(() => prepare(rows, { ...options, maxSamples: 51 }), 'FT_DATASET_ROW')
      }
    })

    it('tokens: as they are, checked against the vocabulary', async () => {
      const prepared = await prepare([{ input_ids: [1, 2, 3], labels: [-100, -100, 3] }, { input_ids: [4, 5] }, { input_ids: [0, 7, 8], attention_mask: [0, 1, 1] }])
      expect(prepared.train.map((row) => [[...row.inputIds], [...row.labels]])).to.deep.equal([[[1, 2, 3], [-100, -100, 3]], [[4, 5], [4, 5]], [[7, 8], [7, 8]]])
      expect(prepared.report.supervisedTokens).to.equal(3)
      const error = await failure(() => prepare([{ input_ids: [1, styles.llama3.vocabSize] }]), 'FT_DATASET_ROW')
      expect(error.message).to.include('input_ids.1')
      await prepare([{ input_ids: [1, styles.llama3.vocabSize] }], { vocabSize: styles.llama3.vocabSize + 1 })
      await failure(() => prepare([{ input_ids: [1, 2], labels: [1, 9999] }]), 'FT_DATASET_ROW')
    })

    it('tokens need no tokenizer; text does', async () => {
      const none = await loadTokenizer(folder.path(), { optional: true })
      expect((await prepare([{ input_ids: [1, 2] }], { tokenizer: none, vocabSize: 10 })).train).to.have.lengthOf(1)
      await failure(() => prepare([{ text: 'a' }], { tokenizer: none, vocabSize: 10 }), 'FT_TOKENIZER_MISSING')
      await failure(() => loadTokenizer(folder.path()), 'FT_TOKENIZER_MISSING')
    })

    it('are decided row by row', async () => {
      const { report } = await prepare([{ text: 'a' }, { prompt: 'a', completion: 'b' }, { messages: [{ role: 'assistant', content: 'x' }] }, { input_ids: [1, 2] }])
      expect(report.shapes).to.deep.equal({ text: 1, prompt_completion: 1, messages: 1, tokenized: 1 })
    })

    it('use the template file that is named', async () => {
      const file = folder.write('shout.jinja', "{% for m in messages %}{{ m.content | upper }}{{ eos_token }}{% endfor %}")
      const { train } = await prepare([{ messages: [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }] }], { chatTemplate: file })
      expect(await styles.llama3.decode(train[0]!.inputIds)).to.equal('A<|end_of_text|>B<|end_of_text|>')
      await failure(() => prepare([{ text: 'a' }], { chatTemplate: folder.path('nowhere.jinja') }), 'FT_TEMPLATE')
    })
  })

  describe('what is refused', () => {
    it('files without rows, rows without a known shape', async () => {
      await failure(() => prepare([]), 'FT_EMPTY_DATASET')
      await failure(() => prepare(['', '  ']), 'FT_EMPTY_DATASET')
      const error = await failure(() => prepare([{ text: 'a' }, { aufgabe: 'x', loesung: 'secret' }]), 'FT_NO_TEXT_COLUMNS')
      expect(error.message).to.match(/:2: this row has the columns "aufgabe", "loesung"/)
      expect(error.message + error.remedy).to.include('{prompt, completion}').and.not.to.include('secret')
      await failure(() => prepareDataset({ paths: folder.path('missing.jsonl'), seed: 1, tokenizer: styles.llama3, maxSeqLength: 10 }), 'FT_DATASET')
    })

    it('bad rows, with their place', async () => {
      expect((await failure(() => prepare([{ text: 'a' }, '{"text": sec'], {}), 'FT_DATASET_ROW')).message).to.match(/:2:10: not valid JSON/)
      expect((await failure(() => prepare([{ text: 5 }]), 'FT_DATASET_ROW')).message).to.match(/:1: text: expected a text, got a number/)
      expect((await failure(() => prepare([{ messages: [{ role: 'user', content: 'a' }] }], { chatTemplate: folder.write('no.jinja', "{{ raise_exception('sorry') }}") }), 'FT_TEMPLATE')).message).to.match(/:1: .*sorry/)
    })

    it('conversations without a template', async () => {
      const bare = await loadTokenizer(fixture('tokenizers/unigram-style'))
      const error = await failure(() => prepare([{ text: 'a' }, { messages: [{ role: 'user', content: 'a' }] }], { tokenizer: bare }), 'FT_TEMPLATE')
      expect(error.message).to.include(':2:')
      expect(error.remedy).to.include('--chat-template')
      bare.dispose()
    })

    it('more than 1 % of bad rows, even where they are skipped', async () => {
      const good = Array.from({ length: 199 }, (_, i) => ({ text: `row ${i}` }))
      const { report, train } = await prepare([...good.slice(0, 100), '{', ...good.slice(100)], { onBadRow: 'skip' })
      expect(train).to.have.lengthOf(199)
      expect(report.skippedBadRows).to.equal(1)
      expect(report.badRowExamples[0]).to.match(/:101:2: not valid JSON/)
      expect(report.warnings.join('\n')).to.include('1 row cannot be used')
      const error = await failure(() => prepare([...good, '{', { text: 1 }, { nothing: 1 }], { onBadRow: 'skip' }), 'FT_DATASET_ROW')
      expect(error.message).to.include('3 of 202 rows')
      await failure(() => prepare([{ nothing: 1 }, { nothing: 2 }], { onBadRow: 'skip' }), 'FT_NO_TEXT_COLUMNS')
    })

    it('data without any label', async () => {
      await failure(() => prepare([{ input_ids: [1, 2, 3], labels: [-100, -100, -100] }, { input_ids: [5], labels: [5] }]), 'FT_NO_LABELS')
      await failure(() => prepare([{ messages: [{ role: 'user', content: 'a' }] }]), 'FT_NO_LABELS')
      const { report, train } = await prepare([{ text: 'a b c' }, { input_ids: [1, 2], labels: [-100, -100] }])
      expect(train).to.have.lengthOf(2)
      expect(report.rowsWithoutLabels).to.equal(1)
      expect(report.warnings.join('\n')).to.match(/1 row without any token that carries loss \(\S+\.jsonl:2\)/)
    })

    it('truncation of more than 1 % of the supervised tokens', async () => {
      const rows = [{ text: 'a '.repeat(50) }, { text: 'b' }]
      const error = await failure(() => prepare(rows, { maxSeqLength: 16 }), 'FT_TRUNCATION')
      expect(error.message).to.match(/1 of 2 rows are longer than 16 tokens/)
      for (const remedy of ['--max-seq-length', 'shorten', '--allow-truncation']) expect(error.remedy).to.include(remedy)
      const { train, report } = await prepare(rows, { maxSeqLength: 16, allowTruncation: true })
      expect(train[0]!.inputIds).to.have.lengthOf(16)
      expect(report).to.include({ truncatedRows: 1, maxLength: 16 })
      expect(report.lostSupervisedTokens).to.be.greaterThan(10)
      // Prompts carry no loss: cutting what follows nothing supervised costs nothing, and less than 1 % is a warning.
      const many = [...Array.from({ length: 30 }, () => ({ text: 'word '.repeat(20) })), { text: 'word '.repeat(21) }]
      const longest = (await prepare(many)).report.maxLength
      const cut = await prepare(many, { maxSeqLength: longest - 1 })
      expect(cut.report.truncatedRows).to.equal(1)
      expect(cut.report.warnings.join('\n')).to.include('1 row longer than')
    })

    it('nothing that was cancelled', async () => {
      await failure(() => prepare([{ text: 'a' }], { signal: AbortSignal.abort() }), 'FT_CANCELLED')
    })
  })

  describe('splits', () => {
    const rows = (count: number): Row[] => Array.from({ length: count }, (_, i) => ({ input_ids: [i, i, i] }))
    const first = (list: { inputIds: Int32Array }[]): number[] => list.map((row) => row.inputIds[0]!)

    it('hold out a tenth from 20 rows on, chosen by the seed, in the order of the file', async () => {
      expect((await prepare(rows(19), { validationRatio: undefined })).validation).to.have.lengthOf(0)
      const a = await prepare(rows(50), { validationRatio: undefined })
      const b = await prepare(rows(50), { validationRatio: undefined })
      const c = await prepare(rows(50), { validationRatio: undefined, seed: 43 })
      expect(a.validation).to.have.lengthOf(5)
      expect(first(a.validation)).to.deep.equal(first(b.validation)).and.not.to.deep.equal(first(c.validation))
      expect([...first(a.train), ...first(a.validation)].sort((x, y) => x - y)).to.deep.equal(Array.from({ length: 50 }, (_, i) => i))
      expect(first(a.train)).to.deep.equal(first(a.train).toSorted((x, y) => x - y))
    })

    it('respect a ratio and a validation file', async () => {
      expect((await prepare(rows(10), { validationRatio: 0.25 })).validation).to.have.lengthOf(3)
      expect((await prepare(rows(2), { validationRatio: 0.9 })).train).to.have.lengthOf(1)
      expect((await prepare(rows(100), { validationRatio: 0 })).validation).to.have.lengthOf(0)
      const separate = await prepare(rows(30), { validationRatio: undefined, validationPath: write([{ input_ids: [400, 401] }]) })
      expect([separate.train.length, first(separate.validation)]).to.deep.equal([30, [400]])
      await failure(() => prepare(rows(3), { validationPath: write([]) }), 'FT_EMPTY_DATASET')
      await failure(() => prepare(rows(3), { validationPath: write([{ input_ids: [1] }]) }), 'FT_NO_LABELS')
    })

    it('have a fingerprint of rows and labels, however seed and ratio split them', async () => {
      const print = async (list: Row[], options: Partial<PrepareDatasetOptions> = {}): Promise<string> => (await prepare(list, options)).fingerprint
      const base = await print(rows(30))
      expect(await print(rows(30))).to.equal(base)
      const changed = rows(30)
      changed[7] = { input_ids: [7, 7, 8] }
      expect(await print(changed)).not.to.equal(base)
      expect(await print([...rows(29), { input_ids: [29, 29, 29], labels: [29, 29, -100] }])).not.to.equal(base)
      expect(await print(rows(30), { validationRatio: 0.1 })).to.equal(base)
      expect(await print(rows(30), { validationRatio: 0.1, seed: 7 })).to.equal(base)
      // A row that moves from one file to the other is trained on no longer.
      const apart = (list: Row[], held: Row[]): Promise<string> => print(list, { validationPath: write(held), validationRatio: undefined })
      expect(await apart(rows(30).slice(0, 20), rows(30).slice(20))).not.to.equal(await apart(rows(30).slice(0, 21), rows(30).slice(21)))
      expect(await apart(rows(30).slice(0, 20), rows(30).slice(20))).not.to.equal(base)
      expect(await print(rows(30).reverse())).not.to.equal(base)
      // The bounds of rows count, not only their tokens.
      expect(await print([{ input_ids: [1, 2, 3, 4] }])).not.to.equal(await print([{ input_ids: [1, 2] }, { input_ids: [3, 4] }]))
    })

    it('tell the date that a template writes', async () => {
      const dated = folder.write('dated.jinja', "{% for m in messages %}{{ strftime_now('%Y') }}{{ m.content }}{% endfor %}")
      const row = { messages: [{ role: 'assistant', content: 'x' }] }
      const now = new Date('2020-06-01T12:00:00Z')
      const prepared = await prepare([row], { chatTemplate: dated, now })
      expect(prepared.templateDate).to.equal(now.toISOString())
      expect(await styles.llama3.decode(prepared.train[0]!.inputIds)).to.equal('2020x')
      expect((await prepare([row])).templateDate).to.equal(null)
    })
  })

  it('keeps the event loop free, and reports progress', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => ({ text: `The harbour was quiet in the morning, and row ${i} came in. `.repeat(20) }))
    let longest = 0
    let last = performance.now()
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 5)
    const seen: number[] = []
    const { report } = await prepare(many, { onProgress: ({ rows }) => seen.push(rows) })
    clearInterval(timer)
    expect(report.rows).to.equal(3000)
    expect(seen.length).to.be.greaterThan(5)
    expect(seen.at(-1)).to.equal(3000)
    // Not a measure of speed: a blocked loop would show one gap as long as the whole.
    expect(longest).to.be.lessThan(1500)
  })

  it('describes a data set, and what one row teaches', async () => {
    const description = await describeDataset({
      paths: write([{ messages: [{ role: 'user', content: 'Is it 今日 cold?' }, { role: 'assistant', content: 'Yes 👍' }] }, { text: 'x '.repeat(30) }, { input_ids: [1, 2] }]),
      tokenizer: styles.qwen, maxSeqLength: 20,
    })
    expect(description.report.shapes).to.deep.equal({ messages: 1, text: 1, tokenized: 1 })
    expect(description.lengths.max).to.be.greaterThan(20)
    expect(description.lengths.p50).to.be.at.most(description.lengths.p90)
    expect(description.truncatedShare).to.be.greaterThan(0)
    expect(description.lostShare).to.be.greaterThan(0)
    expect(description.example!.parts.map(({ text, loss }) => [text, loss])).to.deep.equal([
      ['<|im_start|>user\nIs it 今日 cold?<|im_end|>\n<|im_start|>assistant\n', false], ['Yes 👍<|im_end|>\n', true],
    ])
    const none = await loadTokenizer(folder.path(), { optional: true })
    const tokens = await describeDataset({ paths: write([{ input_ids: [4, 5, 6], labels: [-100, -100, 6] }]), tokenizer: none, maxSeqLength: 20, vocabSize: 10 })
    expect(tokens.example!.parts).to.deep.equal([{ text: '4 5 ', loss: false, tokens: 2 }, { text: '6 ', loss: true, tokens: 1 }])
    expect(description.example!.parts.reduce((sum, part) => sum + part.tokens, 0)).to.equal(description.example!.tokens)
  })
})
