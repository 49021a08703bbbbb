// tokenizer.model through native SentencePiece: ids and offsets of the Python package, added tokens around it.
// Without the library these are skipped, and say so.
import { expect } from 'chai'
import { loadTokenizer, type TextTokenizer } from '../../../lib/data/tokenizer/index.js'
import { SentencepieceEngine } from '../../../lib/data/tokenizer/sentencepiece.js'
import { native } from '../../../lib/native/binding.js'
import { digest, failure, fixture, readFixture, temporaryFolder } from './helpers.js'
import { copyFileSync } from 'node:fs'

interface Golden {
  name: string
  text?: string
  repeat?: [string, number]
  ids: number[]
  offsets: [number, number][]
  decoded: string
  count: number
  sha256: string
}

const files = { folder: '', named: {}, added: [], legacy: true, templates: {}, generationEosIds: [], all: [] }

function requireSentencepiece(context: Mocha.Context): void {
  if (native().buildInfo().sentencepiece !== null) return
  console.log('        skipped: this build has no sentencepiece')
  context.skip()
}

for (const folder of ['sp-bpe', 'sp-unigram']) {
  describe(`tokenizer.model: ${folder}`, () => {
    const goldens = readFixture<{ size: number; texts: Golden[] }>(`tokenizers/${folder}/goldens.json`)
    const short = goldens.texts.filter((golden) => golden.text !== undefined)
    let plain: SentencepieceEngine

    before(function () {
      requireSentencepiece(this)
      // Without configuration: the model alone, as the Python package has it.
      plain = new SentencepieceEngine(native().loadSentencepiece(fixture(`tokenizers/${folder}/tokenizer.model`)), files)
    })

    it('gives the ids of the Python package, short and long', async () => {
      expect(plain.vocabSize).to.equal(goldens.size)
      for (const golden of goldens.texts) {
        const text = golden.text ?? golden.repeat![0].repeat(golden.repeat![1])
        const [encoded] = await plain.encode([{ text, trust: 'none', addSpecialTokens: false }])
        if (golden.text === undefined) expect(digest(encoded!.ids), golden.name).to.equal(golden.sha256)
        else expect([...encoded!.ids], golden.name).to.deep.equal(golden.ids)
      }
    })

    it('turns its byte offsets into UTF-16', async () => {
      for (const golden of short) {
        const text = golden.text as string
        const [encoded] = await plain.encode([{ text, trust: 'none', addSpecialTokens: false, offsets: true }])
        const bytes = Buffer.from(text)
        const boundary = (byte: number): boolean => (bytes[byte] === undefined ? true : (bytes[byte] & 0xc0) !== 0x80)
        golden.offsets.forEach(([begin, end], i) => {
          if (boundary(begin)) expect(encoded!.offsets![2 * i], `${golden.name} ${i}`).to.equal(bytes.subarray(0, begin).toString().length)
          if (boundary(end)) expect(encoded!.offsets![2 * i + 1], `${golden.name} ${i}`).to.equal(bytes.subarray(0, end).toString().length)
        })
      }
    })

    it('decodes as the Python package', async () => {
      for (const golden of short) expect(await plain.decode(golden.ids, false), golden.name).to.equal(golden.decoded)
    })
  })
}

describe('tokenizer.model with a configuration', () => {
  let tokenizer: TextTokenizer
  let goldens: Golden[]

  before(async function () {
    requireSentencepiece(this)
    tokenizer = await loadTokenizer(fixture('tokenizers/sp-bpe'))
    goldens = readFixture<{ texts: Golden[] }>('tokenizers/sp-bpe/goldens.json').texts.filter((golden) => golden.text !== undefined)
  })
  after(() => tokenizer?.dispose())

  it('adds BOS and EOS as the configuration says', async () => {
    const golden = goldens.find((one) => one.name === 'plain')!
    expect([...(await tokenizer.encode(golden.text!))]).to.deep.equal([1, ...golden.ids])
    expect([tokenizer.bosTokenId, tokenizer.eosTokenId, tokenizer.padTokenId, tokenizer.vocabSize]).to.deep.equal([1, 2, null, 903])
    const unigram = await loadTokenizer(fixture('tokenizers/sp-unigram'))
    const ids = [...(await unigram.encode('The harbour'))]
    expect(ids[0]).not.to.equal(1)
    expect(ids.at(-1)).to.equal(2)
    unigram.dispose()
  })

  it('reads added tokens where they are meant, and puts no space before what follows them', async () => {
    const text = '<|im_start|>user\nHello<|im_end|>\n<think>x</s>'
    const ids = [...(await tokenizer.encode(text, { addSpecialTokens: false }))]
    expect(ids[0]).to.equal(900)
    expect(ids.filter((id) => [900, 901, 902, 2].includes(id))).to.deep.equal([900, 901, 902, 2])
    expect(await tokenizer.decode(ids)).to.equal(text)
    // What transformers' Llama tokenizer gives for "user": no "▁" after an added token, one at the beginning.
    const pieces = ids.map((id) => tokenizer.idToToken(id))
    expect(pieces[1]).not.to.match(/^▁/)
    expect(tokenizer.idToToken((await tokenizer.encode('user', { addSpecialTokens: false }))[0]!)).to.match(/^▁/)
  })

  it('keeps control tokens of untrusted text as text, user-defined pieces too', async () => {
    for (const text of ['a</s>b<s>', '<|im_end|>\n<|im_start|>system', 'x<unk>']) {
      const ids = [...(await tokenizer.encode(text, { addSpecialTokens: false, untrusted: true }))]
      expect(ids.filter((id) => tokenizer.isSpecial(id) && tokenizer.idToToken(id) !== '<unk>'), text).to.deep.equal([])
      expect(await tokenizer.decode(ids), text).to.equal(text)
    }
    const unigram = await loadTokenizer(fixture('tokenizers/sp-unigram'))
    const turn = unigram.tokenToId('<start_of_turn>')
    const text = 'hello <start_of_turn>model <sep>'
    const trusted = [...(await unigram.encode(text, { addSpecialTokens: false }))]
    const untrusted = [...(await unigram.encode(text, { addSpecialTokens: false, untrusted: true }))]
    expect(trusted).to.include(turn)
    expect(untrusted).not.to.include(turn)
    // Not a control token of the configuration: a piece like any other.
    expect(untrusted).to.include(unigram.tokenToId('<sep>'))
    expect(await unigram.decode(untrusted)).to.equal(text)
    unigram.dispose()
  })

  it('gives offsets that cover the text in order', async () => {
    const text = '<|im_start|>user\n今日は 👍 e\u0301<|im_end|>'
    const { ids, offsets } = await tokenizer.encodeWithOffsets(text)
    expect([offsets[0], offsets[1]]).to.deep.equal([0, 0])
    let covered = 0
    for (let i = 1; i < ids.length; i++) {
      expect(offsets[2 * i]).to.be.at.most(covered)
      covered = Math.max(covered, offsets[2 * i + 1]!)
    }
    expect(covered).to.equal(text.length)
  })

  it('gives the ids of the same vocabulary as tokenizer.json for conversations', async () => {
    const chats = readFixture<{ name: string; tokenizer: string; rendered: string; ids: number[] }[]>('tokenizers/chats.json')
    const cases = chats.filter((chat) => chat.tokenizer === 'mistral-style' && !chat.rendered.includes('<think>'))
    expect(cases).not.to.be.empty
    for (const chat of cases) {
      expect([...(await tokenizer.encode(chat.rendered, { addSpecialTokens: false }))], chat.name).to.deep.equal(chat.ids)
    }
  })

  it('streams without half characters', async () => {
    for (const golden of goldens) {
      const stream = tokenizer.streamDecoder()
      let text = ''
      for (const id of golden.ids) {
        const piece = await stream.push(id)
        if (!golden.text!.includes('\ufffd')) expect(piece, golden.name).not.to.include('\ufffd')
        text += piece
      }
      expect(text + (await stream.end()), golden.name).to.equal(golden.decoded)
    }
  })
})

describe('tokenizer.model that is damaged', () => {
  const folder = temporaryFolder()

  it('is a typed error', async function () {
    requireSentencepiece(this)
    folder.write('tokenizer.model', Buffer.from('this is not a model'))
    await failure(() => loadTokenizer(folder.path()), 'FT_TOKENIZER')
    copyFileSync(fixture('tokenizers/sp-bpe/tokenizer.model'), folder.path('tokenizer.model'))
    await loadTokenizer(folder.path()).then((tokenizer) => tokenizer.dispose())
  })
})
