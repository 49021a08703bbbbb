// Rows of more tokens than there is room for: what is kept, what is lost, and that it is counted.
import { expect } from 'chai'
import fc from 'fast-check'
import { loadTokenizer, prepareDataset, type EncodedRow, type PrepareDatasetOptions, type TextTokenizer } from '../../../lib/data/index.js'
import { fitRow, splitRow, type OverflowOptions } from '../../../lib/data/overflow.js'
import { countSupervised } from '../../../lib/data/types.js'
import { failure, fixture, temporaryFolder } from './helpers.js'

const bos = 1

/** Ids count from 10; "p" carries no loss, "a" does. A leading "b" is the beginning-of-sequence token. */
function row(pattern: string): EncodedRow {
  const inputIds = Int32Array.from(pattern, (kind, t) => (kind === 'b' ? bos : 10 + t))
  return { inputIds, labels: Int32Array.from(pattern, (kind, t) => (kind === 'a' ? (inputIds[t] as number) : -100)) }
}

function fit(pattern: string, overflow: OverflowOptions['overflow'], maxSeqLength: number): string | null {
  const fitted = fitRow(row(pattern), { overflow, maxSeqLength, stride: 0, bosTokenId: bos })
  return fitted === null ? null : [...fitted.inputIds].map((id, t) => `${id}${fitted.labels[t] === -100 ? '' : '!'}`).join(' ')
}

describe('overflow', () => {
  it('leaves what fits alone', () => {
    for (const overflow of ['truncate', 'truncate_left', 'keep_answer', 'drop', 'split', 'keep'] as const) {
      const short = row('bppaa')
      expect(fitRow(short, { overflow, maxSeqLength: 5, stride: 0, bosTokenId: bos }), overflow).to.equal(short)
    }
  })

  it('cuts at the end or at the begin, where a BOS stays', () => {
    expect(fit('bppaapa', 'truncate', 4)).to.equal('1 11 12 13!')
    expect(fit('bppaapa', 'truncate_left', 4)).to.equal('1 14! 15 16!')
    expect(fit('pppaapa', 'truncate_left', 4)).to.equal('13! 14! 15 16!')
  })

  it('keeps the last answer, with as much before it as there is room for', () => {
    expect(fit('bppppaapp', 'keep_answer', 5)).to.equal('1 13 14 15! 16!')
    expect(fit('ppppaapp', 'keep_answer', 5)).to.equal('11 12 13 14! 15!')
    expect(fit('bpaapaaaa', 'keep_answer', 5)).to.equal('1 15! 16! 17! 18!')
    // Longer than all the room: its begin.
    expect(fit('bpaaaaaa', 'keep_answer', 4)).to.equal('12! 13! 14! 15!')
    expect(fit('pppppppp', 'keep_answer', 4)).to.equal('10 11 12 13')
    expect(fit('aaaaaaaa', 'keep_answer', 4)).to.equal('10! 11! 12! 13!')
  })

  it('drops the row', () => {
    expect(fit('bppaa', 'drop', 4)).to.equal(null)
  })

  it('splits without losing a token, each with loss once', () => {
    const patterns = fc.stringMatching(/^[pa]{1,60}$/)
    fc.assert(fc.property(patterns, fc.integer({ min: 2, max: 20 }), fc.nat({ max: 19 }), (pattern, maxSeqLength, wanted) => {
      const stride = Math.min(wanted, maxSeqLength - 1)
      const whole = row(pattern)
      const parts = splitRow(whole, { maxSeqLength, stride })
      expect(parts.every(({ inputIds }) => inputIds.length <= maxSeqLength)).to.equal(true)
      const rest = parts.map((part, i) => ({ ids: [...part.inputIds].slice(i === 0 ? 0 : stride), labels: [...part.labels].slice(i === 0 ? 0 : stride) }))
      expect(rest.flatMap(({ ids }) => ids)).to.deep.equal([...whole.inputIds])
      expect(rest.flatMap(({ labels }) => labels)).to.deep.equal([...whole.labels])
      for (const part of parts.slice(1)) expect([...part.labels.slice(0, stride)].every((label) => label === -100)).to.equal(true)
      const kept = parts.reduce((sum, part) => sum + countSupervised(part.labels), 0)
      // The first token of a part is not predicted unless it is one that the part before had.
      const lost = stride > 0 ? 0 : parts.slice(1).filter(({ labels }) => labels[0] !== -100).length
      expect(kept).to.equal(countSupervised(whole.labels) - lost)
    }))
  })
})

describe('overflow of a data set', () => {
  const folder = temporaryFolder()
  let tokenizer: TextTokenizer
  before(async () => (tokenizer = await loadTokenizer(fixture('tokenizers/llama3-style'))))
  after(() => tokenizer.dispose())

  const rows = [...Array.from({ length: 9 }, (_, i) => ({ prompt: `row ${i}`, completion: ' short' })), { prompt: 'word '.repeat(60), completion: ' the answer' }]
  const prepare = (options: Partial<PrepareDatasetOptions>) =>
    prepareDataset({ paths: folder.write('rows.jsonl', rows.map((one) => JSON.stringify(one)).join('\n')), seed: 1, tokenizer, maxSeqLength: 24, validationRatio: 0, ...options })

  it('is counted, and refused where more than 1 % of the loss goes', async () => {
    for (const overflow of ['truncate', 'drop'] as const) {
      const error = await failure(() => prepare({ overflow }), 'FT_TRUNCATION')
      expect(error.message).to.match(/1 of 10 rows are longer than 24 tokens/)
      expect(error.exitCode).to.equal(3)
    }
    const dropped = await prepare({ overflow: 'drop', allowTruncation: true })
    expect(dropped.train).to.have.lengthOf(9)
    expect(dropped.report).to.include({ droppedRows: 1, truncatedRows: 0, rows: 9 })
    expect(dropped.report.lostSupervisedTokens).to.be.greaterThan(0)
    expect(dropped.report.warnings.join('\n')).to.include('1 row longer than 24 tokens dropped')
  })

  it('loses nothing where the answer is kept or the row is split', async () => {
    const kept = await prepare({ overflow: 'keep_answer' })
    const [last] = kept.train.slice(-1)
    expect(last!.inputIds).to.have.lengthOf(24)
    expect(await tokenizer.decode(last!.labels.filter((label) => label !== -100))).to.equal(' the answer<|end_of_text|>')
    expect(last!.inputIds[0]).to.equal(tokenizer.bosTokenId)
    expect(kept.report).to.include({ truncatedRows: 1, lostSupervisedTokens: 0 })

    const split = await prepare({ overflow: 'split', stride: 4 })
    expect(split.train.length).to.be.greaterThan(11)
    expect(split.train.every(({ inputIds }) => inputIds.length <= 24)).to.equal(true)
    expect(split.report).to.include({ rows: 10, splitRows: 1, lostSupervisedTokens: 0, maxLength: 24 })
    expect(split.report.tokens).to.equal(split.train.reduce((sum, { inputIds }) => sum + inputIds.length, 0))
    expect((await prepare({ overflow: 'keep' })).report).to.include({ truncatedRows: 0, lostSupervisedTokens: 0 })
  })

  it('keeps the parts of a row on one side of the split', async () => {
    const { train, validation } = await prepare({ overflow: 'split', validationRatio: 0.5, seed: 3 })
    const sides = [train, validation].map((side) => side.filter(({ inputIds }) => inputIds.length === 24).length)
    expect(Math.min(...sides)).to.equal(0)
    expect(Math.max(...sides)).to.be.greaterThan(1)
  })

  it('refuses a stride without room', async () => {
    for (const stride of [24, -1, 1.5]) await failure(() => prepare({ overflow: 'split', stride }), 'FT_INVALID_ARGUMENT')
  })
})
