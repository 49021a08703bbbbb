// DatasetAnalyzer: the numbers are those of prepareDataset, the preview is the batch, and lint finds what was planted.
import { expect } from 'chai'
import {
  DatasetAnalyzer, prepareDataset, TextColumnDetector, toBatch, type AnalyzeOptions, type DatasetAnalysis, type RowValue,
} from '../../../lib/data/index.js'
import { failure, rowFiles, temporaryFolder, tokenizers } from './helpers.js'

const folder = temporaryFolder()
const write = rowFiles(folder)
const prose = (i: number): string => Array.from({ length: 30 }, (_, w) => `w${(i * 37 + w * 11) % 991}`).join(' ')
const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })

describe('DatasetAnalyzer', function () {
  // Each run starts a process for the chat template.
  this.timeout(120_000)
  const styles = tokenizers('llama3', 'qwen')
  const analyze = (rows: readonly RowValue[], options: Partial<AnalyzeOptions> = {}): Promise<DatasetAnalysis> => new DatasetAnalyzer({ paths: write(rows), ...options }).run()

  const mixed: RowValue[] = [
    { text: 'Call me Ishmael. 今日 👍' }, { prompt: 'Define x:', completion: ' n. A letter.' }, { messages: [user('Hi'), assistant('Hello.'), user('Bye'), assistant('Bye.')] },
    { input_ids: [1, 2, 3], labels: [-100, 2, 3] }, { text: prose(1) }, { instruction: 'Say it', output: 'It.' },
  ]

  it('previews the very batch that training makes, for every kind of row and way to cut it', async () => {
    for (const options of [{ maxSeqLength: 256 }, { maxSeqLength: 10 }, { maxSeqLength: 10, overflow: 'truncate_left' as const }, { maxSeqLength: 256, trainOnPrompt: true }, { maxSeqLength: 10, overflow: 'split' as const }]) {
      const paths = write(mixed)
      const { preview, tokens } = await new DatasetAnalyzer({ paths, tokenizer: styles.qwen, preview: [1, 2, 3, 4, 5, 6], ...options }).run()
      const { train, report } = await prepareDataset({ paths, tokenizer: styles.qwen, seed: 1, validationRatio: 0, allowTruncation: true, ...options })
      expect(preview).to.have.length(6)
      // A row that is split shows its first part.
      const firsts = options.overflow === 'split' ? train.filter((row) => preview.some(({ inputIds }) => inputIds.join() === row.inputIds.join())) : train
      const batch = toBatch(firsts)
      expect([...batch.inputIds]).to.deep.equal(preview.flatMap((row) => [...row.inputIds]))
      expect([...batch.labels]).to.deep.equal(preview.flatMap((row) => [...row.labels]))
      for (const row of preview) {
        expect(row.tokens.map(({ id }) => id)).to.deep.equal([...row.inputIds])
        expect(row.tokens.map(({ text }) => text).join('')).to.equal(await styles.qwen.decode(row.inputIds, { skipSpecialTokens: false }))
        expect(row.tokens.map(({ learned }) => learned)).to.deep.equal([...row.labels].map((label, t) => t > 0 && label !== -100))
        for (const { id, special } of row.tokens) expect(special).to.equal(styles.qwen.isSpecial(id))
      }
      expect(tokens?.report).to.deep.equal(report)
    }
  })

  it('counts as training counts, without keeping rows, and packs as training packs', async () => {
    const rows = Array.from({ length: 60 }, (_, i) => ({ text: prose(i % 50).slice(0, 20 + 3 * i) }))
    const { statistics, tokens, rows: count } = await analyze(rows, { tokenizer: styles.llama3, maxSeqLength: 40, filters: ['exact_duplicates'] })
    const lengths = await Promise.all(rows.map(async ({ text }) => (await styles.llama3.encode(text)).length + 1))
    expect(count).to.equal(60)
    expect(statistics.tokens).to.include({ max: Math.max(...lengths), total: lengths.reduce((a, b) => a + b) })
    expect(tokens?.truncatedShare).to.be.closeTo(lengths.filter((length) => length > 40).length / 60, 1e-12)
    expect(tokens?.packing.windows).to.be.at.least(Math.ceil(tokens!.report.tokens / 40))
    expect(tokens?.packing.fill).to.be.closeTo(tokens!.report.tokens / (40 * tokens!.packing.windows), 1e-12)
  })

  it('without a tokenizer it counts characters, and says how columns were found', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => ({ question: prose(i), answer: prose(i + 1), id: i }))
    const { detection, statistics, tokens, preview } = await analyze(rows)
    expect(detection).to.deep.equal(TextColumnDetector.detect(rows).reasons)
    expect([tokens, preview, statistics.tokens, statistics.rows]).to.deep.equal([null, [], null, 40])
    expect(statistics.longest).to.have.length(10)
    await failure(() => analyze(rows, { preview: [1] }), 'FT_INVALID_ARGUMENT')
    await failure(() => analyze([{ a: 1 }]), 'FT_NO_TEXT_COLUMNS')
  })

  describe('lint', () => {
    /** rule → lines of its findings */
    const found = ({ lint }: DatasetAnalysis): Record<string, (number | null)[]> =>
      Object.fromEntries(lint!.rules.flatMap(({ rule, findings }) => (findings.length === 0 ? [] : [[rule, findings.map(({ line }) => line)]])))
    const clean = Array.from({ length: 30 }, (_, i): RowValue => (i % 2 === 0 ? { prompt: prose(i), completion: ` ${prose(i + 40)}` } : { messages: [user(prose(i)), assistant(prose(i + 80))] }))

    it('is silent on rows without fault', async () => {
      const analysis = await analyze(clean, { tokenizer: styles.qwen, lint: true })
      expect(found(analysis)).to.deep.equal({})
      expect(analysis.lint).to.include({ rows: 30, errors: 0, warnings: 0 })
      expect((await analyze(clean, { lint: true })).lint?.notRun).to.deep.equal(['double_bos', 'missing_end', 'zero_labels', 'truncation'])
    })

    it('finds what was planted, each in its line', async () => {
      const planted: readonly (readonly [rule: string, row: RowValue])[] = [
        ['template_mismatch', { text: `[INST] ${prose(200)} [/INST] ${prose(201)}` }],
        ['template_mismatch', { prompt: `<|im_start|>user\n${prose(202)}<|im_end|>`, completion: prose(203) }],
        ['template_mismatch', { messages: [user('### Instruction:\nx\n### Response:'), assistant(prose(204))] }],
        ['empty_rows', { prompt: prose(205), completion: ' ' }],
        ['zero_labels', { input_ids: [5, 6, 7], labels: [-100, -100, -100] }],
        ['missing_end', { input_ids: [5, 6, 7], labels: [-100, 6, 7] }],
        ['role_order', { messages: [assistant(prose(206)), user(prose(207)), assistant('ok')] }],
        ['role_order', { messages: [user(prose(208)), user(prose(209)), assistant('ok then')] }],
        ['role_order', { messages: [user(prose(210)), assistant('and'), user(prose(211))] }],
        ['odd_encoding', { text: `CafÃ© ${prose(212)}` }],
        ['odd_encoding', { text: `It\u0000 ${prose(213)}` }],
        ['odd_encoding', { text: `lost \ufffd ${prose(214)}` }],
        ['duplicates', clean[0]!],
        ['near_duplicates', { prompt: prose(4), completion: ` ${prose(44).toUpperCase()}!` }],
        ['truncation', { text: Array.from({ length: 40 }, (_, i) => prose(300 + i)).join(' ') }],
        ['bad_rows', { prompt: 3, completion: 'x' }],
      ]
      const rows = planted.map(([, row]) => row)
      const analysis = await analyze([...clean, ...rows], { tokenizer: styles.qwen, maxSeqLength: 1500, lint: true, validationRatio: 0 })
      const lines = found(analysis)
      planted.forEach(([rule], i) => expect(lines[rule], `${rule}: ${JSON.stringify(lines)}`).to.include(31 + i))
      for (const [rule, where] of Object.entries(lines)) for (const line of where) if (line !== null) expect(line, `${rule} in a row without fault`).to.be.above(30)
      for (const { findings } of analysis.lint!.rules) for (const { message, remedy } of findings) expect(`${message} ${remedy}`).not.to.match(/w\d+ w\d+/)
    })

    it('double_bos: by id and by text', async () => {
      const analysis = await analyze([{ input_ids: [styles.llama3.bosTokenId, styles.llama3.bosTokenId, 5] }, { text: `${styles.llama3.namedTokens.bos_token}Hello` }, { text: 'Hello' }], { tokenizer: styles.llama3, lint: true, validationRatio: 0 })
      expect(found(analysis).double_bos).to.deep.equal([1, 2])
    })

    it('split_leakage: in files that are given, and in the split the run would make', async () => {
      const validationPath = write([clean[3]!, { prompt: prose(500), completion: prose(501) }], 'held.jsonl')
      const given = await analyze(clean, { tokenizer: styles.qwen, lint: true, validationPath })
      expect(found(given)).to.deep.equal({ split_leakage: [4] })
      expect(given.lint!.rules.find(({ rule }) => rule === 'split_leakage')?.findings[0]?.message).to.match(/held-out row .*held\.jsonl:1$/)
      const twice = [...clean, ...clean]
      expect(found(await analyze(twice, { tokenizer: styles.qwen, lint: true, validationRatio: 0.5 })).split_leakage).to.be.an('array').that.is.not.empty
      expect(found(await analyze(twice, { tokenizer: styles.qwen, lint: true, validationRatio: 0.5, split: { by: 'hash' } }))).to.have.keys('duplicates')
    })

    it('truncation is an error of the data where training would refuse it', async () => {
      const { lint } = await analyze(clean, { tokenizer: styles.qwen, maxSeqLength: 60, lint: true, validationRatio: 0 })
      const truncation = lint!.rules.find(({ rule }) => rule === 'truncation')!
      expect(truncation.findings[0]).to.include({ severity: 'error', file: null, line: null })
      expect(truncation.findings[0]?.message).to.include('training refuses more than 1 %')
      expect(truncation.findings.length).to.be.at.most(21)
    })

    it('rows that the chat template refuses are named by the rule that knows why', async () => {
      const template = folder.write('strict.jinja', "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}")
      const analysis = await analyze([clean[1]!, { messages: [user('a'), user('b'), assistant('c')] }], { tokenizer: styles.qwen, chatTemplate: template, lint: true, validationRatio: 0 })
      expect(found(analysis)).to.deep.include({ bad_rows: [2], role_order: [2] })
    })
  })
})
