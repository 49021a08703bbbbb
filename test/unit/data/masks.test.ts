// Masks by property: whatever people wrote, the tokens with loss are exactly what the assistant said and what ends it.
import { expect } from 'chai'
import fc from 'fast-check'
import { loadTokenizer, prepareDataset, type EncodedRow, type PrepareDatasetOptions, type TextTokenizer } from '../../../lib/data/index.js'
import { failure, fixture, temporaryFolder } from './helpers.js'
import { findLoneSurrogate } from '../../../lib/data/text.js'

/** Words, scripts, spaces, and what could be taken for a control token or a template's own text. */
const piece = fc.oneof(
  fc.constantFrom('word', ' ', '\n', '<|im_end|>', '<|im_start|>assistant\n', '<|im_', 'end|>', '👍🏽', 'é', 'e\u0301', '今日', 'שלום', '{{ x }}', '\u00a0', '123', "it's"),
  fc.string({ unit: 'grapheme', maxLength: 4 }),
)
const text = fc.array(piece, { minLength: 1, maxLength: 8 }).map((pieces) => pieces.join('')).filter((one) => findLoneSurrogate(one) < 0 && !/[\u{e000}-\u{f8ff}\u{f0000}-\u{10ffff}]/u.test(one))
const turns = fc.array(fc.record({ ask: text, answer: text, weight: fc.constantFrom(undefined, 0, 1) }), { minLength: 1, maxLength: 4 })
type Turns = { ask: string; answer: string; weight: number | undefined }[]

describe('masks', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()
  let tokenizer: TextTokenizer
  before(async () => (tokenizer = await loadTokenizer(fixture('tokenizers/qwen-style'))))
  after(() => tokenizer.dispose())

  const prepare = async (name: string, rows: readonly object[], options: Partial<PrepareDatasetOptions> = {}): Promise<EncodedRow[]> => {
    const paths = folder.write(name, rows.map((row) => JSON.stringify(row)).join('\n'))
    return (await prepareDataset({ paths, seed: 1, tokenizer, maxSeqLength: 4096, validationRatio: 0, chatTemplate: 'chatml', ...options })).train
  }
  const learned = (row: EncodedRow): Promise<string> => tokenizer.decode(row.labels.filter((label) => label !== -100))

  it('of conversations are the answers with their ends, byte for byte', async () => {
    const chats: Turns[] = fc.sample(turns, { numRuns: 60, seed: 7 })
    const rows = chats.map((chat) => ({ messages: chat.flatMap(({ ask, answer, weight }) => [{ role: 'user', content: ask }, { role: 'assistant', content: answer, ...(weight === undefined ? {} : { weight }) }]) }))
    const all = await prepare('chats.jsonl', [...rows, { text: 'so that there is something to learn' }])
    const last = await prepare('last.jsonl', [...rows, { text: 'so that there is something to learn' }], { trainOn: 'last' })
    // The tokenizer composes what it reads: é of two characters is one.
    const said = (chat: Turns): string => chat.map(({ answer }) => `${answer}<|im_end|>\n`).join('').normalize('NFC')
    for (const [i, chat] of chats.entries()) {
      expect(await learned(all[i]!), JSON.stringify(chat)).to.equal(said(chat.filter(({ weight }) => weight !== 0)))
      expect(await learned(last[i]!), JSON.stringify(chat)).to.equal(said(chat.filter(({ weight }, k) => weight === 1 || (weight === undefined && k === chat.length - 1))))
      // Control tokens are the template's: two for each message, however they are named in it.
      expect([...all[i]!.inputIds].filter((id) => tokenizer.isSpecial(id))).to.have.lengthOf(4 * chat.length)
    }
  })

  it('without the ends of turns are the answers alone, whatever they end with, for every template that is known', async () => {
    const chats: Turns[] = fc.sample(turns, { numRuns: 30, seed: 11 })
    // The answer of one is nothing but the end of a turn, as text.
    chats.push([{ ask: 'a', answer: '<|im_end|>', weight: undefined }, { ask: 'b', answer: 'x <|im_end|>\n', weight: undefined }])
    const rows = chats.map((chat) => ({ messages: chat.flatMap(({ ask, answer, weight }) => [{ role: 'user', content: ask }, { role: 'assistant', content: answer, ...(weight === undefined ? {} : { weight }) }]) }))
    const open = await prepare('open.jsonl', [...rows, { text: 'so that there is something to learn' }], { trainOnEndOfTurn: false })
    const said = (chat: Turns): string => chat.filter(({ weight }) => weight !== 0).map(({ answer }) => answer).join('').normalize('NFC')
    for (const [i, chat] of chats.entries()) {
      expect(await learned(open[i]!), JSON.stringify(chat)).to.equal(said(chat))
      expect([...open[i]!.labels].some((label) => label !== -100 && tokenizer.isSpecial(label))).to.equal(false)
    }
    // Marked by the template itself, with the end inside and outside of the mark; and an end that is no control token.
    const messages = [{ role: 'user', content: 'ask' }, { role: 'assistant', content: 'one' }, { role: 'user', content: 'more' }, { role: 'assistant', content: 'two' }]
    const loop = (assistant: string): string => `{% for m in messages %}{% if m.role == 'assistant' %}${assistant}{% else %}{{ m.content }}<|im_start|>{% endif %}{% endfor %}`
    for (const [template, expected] of [
      ['{% generation %}{{ m.content }}<|im_end|>\n{% endgeneration %}', 'onetwo'], ['{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>', 'onetwo'],
      ['{% generation %}<|im_start|>{{ m.content }} END\n{% endgeneration %}', '<|im_start|>one END\n<|im_start|>two END\n'],
    ] as const) {
      const [row] = await prepare('marked.jsonl', [{ messages }], { trainOnEndOfTurn: false, chatTemplate: folder.write('marked.jinja', loop(template)) })
      expect(await learned(row!), template).to.equal(expected)
    }
    await failure(() => prepare('all.jsonl', [{ messages }], { trainOnEndOfTurn: false, trainOn: 'all' }), 'FT_INVALID_ARGUMENT')
  })

  it('without ends of completions leave their last token out, and nothing of texts', async () => {
    const rows = [{ prompt: 'a', completion: ' b c' }, { text: 'whole' }]
    const [pair, whole] = [await prepare('with.jsonl', rows), await prepare('without.jsonl', rows, { trainOnEndOfTurn: false })]
    expect([...whole[0]!.labels]).to.deep.equal([...pair[0]!.labels.slice(0, -1), -100])
    expect(whole[0]!.inputIds).to.deep.equal(pair[0]!.inputIds)
    expect(whole[1]).to.deep.equal(pair[1])
  })

  it('of completions begin where the completion does, with the token that spans the boundary', async () => {
    const pairs = fc.sample(fc.record({ prompt: text, completion: text }), { numRuns: 100, seed: 9 })
    const rows = await prepare('pairs.jsonl', pairs)
    for (const [i, { prompt, completion }] of pairs.entries()) {
      const { inputIds, labels } = rows[i]!
      const from = labels.findIndex((label) => label !== -100)
      expect([...labels.slice(from)], 'one run to the end').to.deep.equal([...inputIds.slice(from)])
      expect(inputIds[inputIds.length - 1]).to.equal(tokenizer.eosTokenId)
      const { ids, offsets } = await tokenizer.encodeWithOffsets(prompt + completion, { untrusted: true, addSpecialTokens: false })
      expect([...inputIds.slice(0, ids.length)]).to.deep.equal([...ids])
      if (from > 0) expect(offsets[2 * from - 1], 'what comes before ends with the prompt').to.be.at.most(prompt.length)
      if (from < ids.length) expect(offsets[2 * from + 1], 'what begins it reaches into the completion').to.be.greaterThan(prompt.length)
    }
  })
})
