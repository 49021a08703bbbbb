// Encoding by words gives what the library gives for whole texts: ids and offsets of random texts, against the library itself.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import type * as tokenizers from 'tokenizers'
import { loadTokenizer, type TextTokenizer } from '../../../lib/data/tokenizer/index.js'
import { readTokenizerFiles } from '../../../lib/data/tokenizer/files.js'
import { guardTokenizer } from '../../../lib/data/tokenizer/guard.js'
import { readTokenizerJson } from '../../../lib/data/tokenizer/tokenizer-json.js'
import { isPlain, WordCutter, wordPattern } from '../../../lib/data/tokenizer/words.js'
import { fixture } from './helpers.js'

const library = createRequire(import.meta.url)('tokenizers') as typeof tokenizers

/** mulberry32 */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const demo = path.resolve(import.meta.dirname, '../../../examples/demo/model')
const folders = [fixture('tokenizers/llama3-style'), fixture('tokenizers/qwen-style'), demo]

/** Every plain character, and some that are not; runs and contractions, which the patterns treat in their own ways. */
const plain = Array.from({ length: 0x2100 }, (_, code) => String.fromCharCode(code)).filter(isPlain)
const tricky = ["'s", "'S", "'LL", "'re", "'x", ' ', '  ', '\n', '\r\n', '\t', '\u00a0', '...', '\u2019', '1234', '\u00b2', '\u20ac', '\u001c', '\u00e9t\u00e9', 'the', ' The', 'whale', '_', '\u0130']
const others = ['\u0085', '\u017f', '\u4e2d', '\u0301', '\ufeff', '\ud83d\ude00']
const random = generator(11)
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
const randomText = (): string => Array.from({ length: 1 + Math.floor(random() * 40) }, () => {
  const kind = random()
  return kind < 0.35 ? pick(plain) : kind < 0.97 ? pick(tricky) : pick(others)
}).join('')

function cutsAsLibrary(tokenizer: tokenizers.Tokenizer, pattern: RegExp): void {
  const cutter = tokenizer.getPreTokenizer() as tokenizers.PreTokenizer
  const around = (c: string): string[] => [
    `a${c}b`, `1${c}2`, ` ${c} `, `  ${c}`, `${c}${c}x`, `'${c}`, `x'${c}e`, `.${c}\n`, `\n${c}\r`, `${c}'s`, `!${c}!`, `\t${c}1`, ` ${c}1`, `${c}A\u00e9`,
  ]
  const contractions = ["'s", "'T", "'re", "'VE", "'m", "'lL", "'d", "'D", "'Re", "'v", "'l"].flatMap((end) => [`x${end}`, `x${end}y`, ` ${end}`, `${end}${end}`, `9${end}`])
  for (const text of [...plain.flatMap(around), ...contractions, ...Array.from({ length: 2000 }, randomText).filter(isPlain)]) {
    const wanted = cutter.preTokenizeString(text).map(([, [begin]]) => begin)
    let at = 0
    const starts = (text.match(pattern) ?? []).map((word) => (at += word.length) - word.length)
    expect(starts, JSON.stringify(text)).to.deep.equal(wanted)
  }
}

describe('words', () => {
  it('are cut where the library cuts, digits one by one', () => {
    const file = path.join(demo, 'tokenizer.json')
    const digits = { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }] }
    const source = JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), pre_tokenizer: digits })
    cutsAsLibrary(library.Tokenizer.fromString(source), wordPattern(readTokenizerJson(file, source)) as RegExp)
  })

  for (const folder of folders) {
    describe(path.basename(folder), () => {
      const file = path.join(folder, 'tokenizer.json')
      const source = readFileSync(file, 'utf8')
      let tokenizer: TextTokenizer
      let guarded: tokenizers.Tokenizer
      let original: tokenizers.Tokenizer
      let added: string[]
      let pattern: RegExp

      before(async () => {
        tokenizer = await loadTokenizer(folder)
        const { json, words } = guardTokenizer(file, source, readTokenizerJson(file, source), await readTokenizerFiles(folder))
        expect(words).not.to.equal(null)
        pattern = words as RegExp
        guarded = library.Tokenizer.fromString(json)
        original = library.Tokenizer.fromString(source)
        added = (JSON.parse(source) as { added_tokens: { content: string }[] }).added_tokens.map(({ content }) => content)
      })
      after(() => tokenizer.dispose())

      const flat = (encoding: tokenizers.Encoding): number[] => encoding.getOffsets().flat()

      it('cuts where the library cuts', () => cutsAsLibrary(original, pattern))

      it('gives the ids and offsets of the library', async () => {
        const texts = Array.from({ length: 3000 }, randomText)
        expect(texts.filter(isPlain).length).to.be.within(900, 2900)
        for (const addSpecialTokens of [true, false]) {
          const wanted = await guarded.encodeBatch(texts, { addSpecialTokens })
          // In calls of several sizes: words of one call are new in it, or known from one before.
          for (const size of [1, 7, 500]) {
            for (let from = 0; from < texts.length; from += size * (size === 1 ? 20 : 1)) {
              const some = texts.slice(from, from + size)
              const encoded = await tokenizer.encodeRequests(some.map((text) => ({ text, trust: 'none', addSpecialTokens, offsets: true })))
              some.forEach((text, i) => {
                const reference = wanted[from + i] as tokenizers.Encoding
                expect([...(encoded[i]?.ids ?? [])], JSON.stringify(text)).to.deep.equal(reference.getIds())
                if (isPlain(text)) expect([...(encoded[i]?.offsets ?? [])], JSON.stringify(text)).to.deep.equal(flat(reference))
              })
            }
          }
        }
      })

      it('finds added tokens as the library does', async () => {
        const texts = Array.from({ length: 1500 }, () => Array.from({ length: 4 }, () => (random() < 0.5 ? pick(added) : randomText())).join(''))
        const wanted = await original.encodeBatch(texts, { addSpecialTokens: false })
        const encoded = await tokenizer.encodeRequests(texts.map((text) => ({ text, trust: 'all', addSpecialTokens: false })))
        texts.forEach((text, i) => expect([...(encoded[i]?.ids ?? [])], JSON.stringify(text)).to.deep.equal(wanted[i]?.getIds()))
      })

      it('takes many new words at once, and long ones', async () => {
        const texts = [Array.from({ length: 5000 }, (_, i) => `w${i}`).join(' '), 'x'.repeat(20_000), '', ' ']
        const wanted = await guarded.encodeBatch(texts, { addSpecialTokens: true })
        const encoded = await tokenizer.encodeRequests(texts.map((text) => ({ text, trust: 'none', addSpecialTokens: true })))
        texts.forEach((_, i) => expect([...(encoded[i]?.ids ?? [])]).to.deep.equal(wanted[i]?.getIds()))
      })
    })
  }

  it('are not what other tokenizers cut text into', () => {
    const json = (changes: object) => ({ added_tokens: [], post_processor: null, model: { type: 'BPE' as const, vocab: {} }, pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false }, ...changes })
    expect(wordPattern(json({}))).to.be.instanceOf(RegExp)
    expect(wordPattern(json({ normalizer: { type: 'NFC' } }))).to.be.instanceOf(RegExp)
    const token = { id: 0, content: 'x', special: false, lstrip: false, rstrip: false, single_word: false, normalized: false }
    for (const changes of [
      { normalizer: { type: 'NFKC' } },
      { normalizer: { type: 'Sequence', normalizers: [] } },
      { pre_tokenizer: null },
      { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true } },
      { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: false } },
      { pre_tokenizer: { type: 'Metaspace' } },
      { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Split', pattern: { Regex: '\\w+' }, behavior: 'Isolated' }, { type: 'ByteLevel', add_prefix_space: false, use_regex: false }] } },
      { added_tokens: [{ ...token, lstrip: true }] },
      { added_tokens: [{ ...token, single_word: true, special: true }] },
      { added_tokens: [token, { ...token, normalized: true }] },
    ]) expect(wordPattern(json(changes)), JSON.stringify(changes)).to.equal(null)
  })

  it('that were met before are not encoded again, and not too many are kept', async () => {
    const asked: string[] = []
    const cutter = new WordCutter(/\S+|\s/g, (words) => {
      asked.push(...words)
      return Promise.resolve(words.map((word) => ({ ids: [word.length], offsets: [0, word.length] })))
    })
    const cut = async (text: string) => (await cutter.cut([[{ text, start: 0 }]]))[0]
    expect((await cut('one two one'))?.words.map(({ ids }) => ids[0])).to.deep.equal([3, 1, 3, 1, 3])
    expect((await cut('two one'))?.starts).to.deep.equal([0, 3, 4])
    expect(asked).to.deep.equal(['one', ' ', 'two'])
    // More than one call may bring is left to the library.
    expect(await cut(Array.from({ length: 3000 }, (_, i) => `a${i}`).join(' '))).to.equal(null)
    for (let batch = 0; batch < 70; batch++) await cut(Array.from({ length: 1000 }, (_, i) => `b${batch}-${i} one two one`).join(' '))
    asked.length = 0
    await cut('b0-0')
    await cut('b69-0 b69-1')
    expect(asked).to.deep.equal(['b0-0'])
  })

  it('that never come again are left to the library, until they do', async () => {
    let encoded = 0
    const cutter = new WordCutter(/\S+|\s/g, (words) => {
      encoded += words.length
      return Promise.resolve(words.map(() => ({ ids: [1], offsets: [0, 1] })))
    })
    const cut = async (word: (i: number) => string, length = 1000) => (await cutter.cut([[{ text: Array.from({ length }, (_, i) => word(i)).join(' '), start: 0 }]]))[0]
    for (let batch = 0; batch < 40; batch++) await cut((i) => `hash${batch}-${i}`)
    expect(encoded).to.be.below(5000)
    for (let batch = 0; batch < 40; batch++) await cut((i) => `common${(i * 7 + batch) % 30}`)
    expect(await cut((i) => (i % 4 === 0 ? `rare${i}` : 'common1'))).not.to.equal(null)
  })
})
