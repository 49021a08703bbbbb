// What a model folder says about its tokenizer, and damaged files: a typed error or success, never a crash.
// The Rust library ends the process for some of these when they reach it, so the mutations run in this process.
import { mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { FineTuneError } from '../../../lib/core/errors/index.js'
import { loadTokenizer } from '../../../lib/data/index.js'
import { findCharsmapFault } from '../../../lib/data/tokenizer/charsmap.js'
import { readTokenizerFiles } from '../../../lib/data/tokenizer/files.js'
import { checkPattern } from '../../../lib/data/tokenizer/pattern-check.js'
import { failure, fixture, temporaryFolder } from './helpers.js'

const folder = temporaryFolder()
let folders = 0

function modelFolder(files: Record<string, unknown>): string {
  const name = `model-${folders++}`
  mkdirSync(folder.path(name))
  for (const [file, content] of Object.entries(files)) folder.write(path.join(name, file), typeof content === 'string' ? content : JSON.stringify(content))
  return folder.path(name)
}

const small = {
  version: '1.0', added_tokens: [{ id: 3, content: '<e>', special: true, lstrip: false, rstrip: false, single_word: false, normalized: false }],
  normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null,
  model: { type: 'BPE', unk_token: null, vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']] },
}

describe('tokenizer files of a model folder', () => {
  it('name tokens as texts or objects, in either file', async () => {
    const files = await readTokenizerFiles(modelFolder({
      'tokenizer.json': small,
      'tokenizer_config.json': { bos_token: '<b>', eos_token: { content: '<e>', lstrip: true }, pad_token: null, additional_special_tokens: ['<x>', { content: '<y>' }] },
      'special_tokens_map.json': { bos_token: '<other>', pad_token: '<p>', unk_token: { content: '<u>' } },
      'generation_config.json': { eos_token_id: [7, 8] },
      'config.json': { vocab_size: 100, eos_token_id: 9 },
    }))
    expect(files.named).to.deep.equal({ bos_token: '<b>', eos_token: '<e>', unk_token: '<u>' })
    expect(files.added.map(({ token }) => [token.content, token.special])).to.deep.include.members([['<b>', true], ['<e>', true], ['<x>', true], ['<y>', true]])
    expect(files.generationEosIds).to.deep.equal([7, 8])
    expect(files.modelVocabSize).to.equal(100)
    expect(files.all.map((file) => path.basename(file))).to.deep.equal(['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'])
  })

  it('hold the chat template in one of several places', async () => {
    const template = async (files: Record<string, unknown>): Promise<unknown> => (await readTokenizerFiles(modelFolder({ 'tokenizer.json': small, ...files }))).templates
    const config = { chat_template: 'from config' }
    expect(await template({ 'tokenizer_config.json': config })).to.deep.equal({ default: 'from config' })
    expect(await template({ 'tokenizer_config.json': config, 'chat_template.jinja': 'from jinja' })).to.deep.equal({ default: 'from jinja' })
    expect(await template({ 'tokenizer_config.json': config, 'chat_template.json': { chat_template: 'from json' } })).to.deep.equal({ default: 'from json' })
    const list = [{ name: 'default', template: 'd' }, { name: 'tool_use', template: 't' }, { name: 'rag', template: 'r' }]
    expect(await template({ 'tokenizer_config.json': { chat_template: list } })).to.deep.equal({ default: 'd', toolUse: 't' })
    expect(await template({ 'tokenizer_config.json': { chat_template: [{ name: 'odd', template: 'o' }] } })).to.deep.equal({ default: 'o', toolUse: undefined })
    expect(await template({})).to.deep.equal({ default: undefined, toolUse: undefined })
  })

  it('make a tokenizer that stops where the model says', async () => {
    const tokenizer = await loadTokenizer(modelFolder({ 'tokenizer.json': small, 'tokenizer_config.json': { eos_token: '<e>' }, 'generation_config.json': { eos_token_id: [1, 3] } }))
    expect([tokenizer.eosTokenId, tokenizer.stopTokenIds]).to.deep.equal([3, [1, 3]])
    const silent = await loadTokenizer(modelFolder({ 'tokenizer.json': small, 'config.json': { eos_token_id: 1 } }))
    expect([silent.eosTokenId, silent.bosTokenId]).to.deep.equal([1, null])
    // A token without an id in the vocabulary would be one that the model has no embedding for.
    const unknown = await loadTokenizer(modelFolder({ 'tokenizer.json': small, 'tokenizer_config.json': { pad_token: '[PAD]', eos_token: 'ab' } }))
    expect([unknown.padTokenId, unknown.eosTokenId, unknown.vocabSize]).to.deep.equal([null, 2, 4])
    expect([...(await unknown.encode('abab', { untrusted: true }))]).to.deep.equal([0, 1, 0, 1])
    expect([...(await unknown.encode('abab'))]).to.deep.equal([2, 2])
    for (const one of [tokenizer, silent, unknown]) one.dispose()
  })

  it('can be missing, or disposed', async () => {
    expect((await failure(() => loadTokenizer(modelFolder({})), 'FT_TOKENIZER_MISSING')).message).to.include('neither tokenizer.json nor tokenizer.model')
    expect((await failure(() => loadTokenizer(modelFolder({ 'vocab.json': {} })), 'FT_TOKENIZER_MISSING')).message).to.include('vocab.json')
    await failure(() => loadTokenizer(folder.path('no-such-folder')), 'FT_TOKENIZER_MISSING')
    const tokenizer = await loadTokenizer(modelFolder({ 'tokenizer.json': small }))
    tokenizer.dispose()
    tokenizer.dispose()
    await failure(() => tokenizer.encode('a'), 'FT_HANDLE_DISPOSED')
    await failure(() => tokenizer.decode([1]), 'FT_HANDLE_DISPOSED')
  })

  it('are refused with the field at fault', async () => {
    const faults: [Record<string, unknown>, string][] = [
      [{ 'tokenizer.json': '{' }, 'not valid JSON'],
      [{ 'tokenizer.json': '[]' }, 'expected an object'],
      [{ 'tokenizer.json': { ...small, model: { ...small.model, type: 'Magic' } } }, 'model.type'],
      [{ 'tokenizer.json': { ...small, model: { ...small.model, vocab: { a: -1 } } } }, 'model.vocab'],
      [{ 'tokenizer.json': { ...small, model: { ...small.model, merges: [['a']] } } }, 'model.merges'],
      [{ 'tokenizer.json': { ...small, model: { ...small.model, merges: [['a', 'c']] } } }, 'out of vocabulary'],
      [{ 'tokenizer.json': { ...small, model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [['a', 'b']] } } }, 'a merge makes a token'],
      [{ 'tokenizer.json': { ...small, added_tokens: [{ id: 9, content: '<e>' }] } }, 'token 9, but its place makes it 3'],
      [{ 'tokenizer.json': { ...small, pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false } } }, 'pattern is refused'],
      [{ 'tokenizer.json': { ...small, pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated', invert: false } } }, 'pattern is refused'],
      [{ 'tokenizer.json': { ...small, normalizer: { type: 'Sequence', normalizers: [{ type: 'Replace', pattern: { Regex: '(a|a)*b' }, content: '' }] } } }, 'normalizer.normalizers.0.pattern'],
      [{ 'tokenizer.json': { ...small, decoder: { type: 'Strip', content: ' ', start: 1, stop: 1 } } }, 'decoder.stop'],
      [{ 'tokenizer.json': { ...small, post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: 'x', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }], pair: [], special_tokens: {} } } }, 'names a token'],
      [{ 'tokenizer.json': small, 'tokenizer_config.json': { eos_token: 5 } }, 'eos_token'],
      [{ 'tokenizer.json': small, 'tokenizer_config.json': { chat_template: 5 } }, 'chat_template'],
      [{ 'tokenizer.json': small, 'special_tokens_map.json': 'nope' }, 'special_tokens_map.json'],
    ]
    for (const [files, expected] of faults) expect((await failure(() => loadTokenizer(modelFolder(files)), 'FT_TOKENIZER')).message, expected).to.include(expected)
    const bytes = modelFolder({})
    folder.write(path.join(path.basename(bytes), 'tokenizer.json'), Buffer.from([0x7b, 0xff, 0x7d]))
    expect((await failure(() => loadTokenizer(bytes), 'FT_TOKENIZER')).message).to.include('not UTF-8')
  })
})

describe('mutations of tokenizer.json', () => {
  const junk: unknown[] = [null, -1, 0, 7, 1.5, 1e300, 2 ** 32, '', 'a', '▁', '(a+)+$', '\0', true, [], {}, ['a'], [['a', 0]], { String: '' }, { Regex: '(' }, { type: 'Sequence' }, { type: 'Nope' }, 'first']
  const texts = ['ab a<s> <|im_end|> b  x\n', '', `▁a 👍é\0 123 ${'a'.repeat(40)}!`]

  for (const name of ['llama3-style', 'mistral-style', 'unigram-style']) {
    it(`${name}: every one is success or a typed error`, async function () {
      this.timeout(120_000)
      const source = readFileSync(fixture(`tokenizers/${name}/tokenizer.json`), 'utf8')
      const target = modelFolder({ 'tokenizer.json': source })
      const file = path.join(path.basename(target), 'tokenizer.json')
      const outcome = { success: 0, refused: 0 }
      for (const mutated of mutations(JSON.parse(source))) {
        folder.write(file, JSON.stringify(mutated))
        try {
          const tokenizer = await loadTokenizer(target)
          for (const untrusted of [true, false]) for (const ids of await tokenizer.encodeBatch(texts, { untrusted })) await tokenizer.decode(ids)
          await tokenizer.decode([0, 1, 2, 99_999], { skipSpecialTokens: true })
          tokenizer.dispose()
          outcome.success++
        } catch (error) {
          if (!(error instanceof FineTuneError)) throw error
          outcome.refused++
        }
      }
      expect(outcome.success).to.be.greaterThan(20)
      expect(outcome.refused).to.be.greaterThan(200)
    })
  }

  /** Every field (of long lists, the ends) removed and replaced, by kinds of junk in turn. */
  function* mutations(seed: unknown): Generator<unknown> {
    let turn = 0
    for (const place of places(seed, [])) {
      yield change(seed, place, (parent, key) => (Array.isArray(parent) ? parent.splice(Number(key), 1) : Reflect.deleteProperty(parent, key)))
      for (let i = 0; i < 5; i++) {
        const value = junk[turn++ % junk.length]
        yield change(seed, place, (parent, key) => Reflect.set(parent, key, value))
      }
    }
  }

  function* places(node: unknown, at: string[]): Generator<string[]> {
    if (at.length > 0) yield at
    if (typeof node !== 'object' || node === null) return
    const keys = Object.keys(node)
    const some = keys.length > 40 ? [...keys.slice(0, 2), ...keys.slice(-1)] : keys
    for (const key of some) yield* places(Reflect.get(node, key), [...at, key])
  }

  function change(seed: unknown, place: string[], edit: (parent: object, key: string) => void): unknown {
    const copy = structuredClone(seed)
    let parent = copy as object
    for (const key of place.slice(0, -1)) parent = Reflect.get(parent, key) as object
    edit(parent, place.at(-1)!)
    return copy
  }

  it('bytes that are cut or flipped', async function () {
    this.timeout(60_000)
    const source = readFileSync(fixture('tokenizers/unigram-style/tokenizer.json'))
    const target = modelFolder({})
    const file = path.join(path.basename(target), 'tokenizer.json')
    let seed = 11
    const next = (): number => (seed = (seed * 1103515245 + 12345) % 2147483648)
    let refused = 0
    for (let i = 0; i < 300; i++) {
      const bytes = Buffer.from(i % 3 === 0 ? source.subarray(0, next() % source.length) : source)
      if (i % 3 !== 0) for (let k = 0; k <= i % 4; k++) bytes[next() % bytes.length] = next() % 256
      folder.write(file, bytes)
      try {
        const tokenizer = await loadTokenizer(target)
        for (const ids of await tokenizer.encodeBatch(texts)) await tokenizer.decode(ids)
        tokenizer.dispose()
      } catch (error) {
        if (!(error instanceof FineTuneError)) throw error
        refused++
      }
    }
    expect(refused).to.be.greaterThan(100)
  })

  it('a normalisation map is followed only where it leads inside itself', () => {
    const { normalizer } = JSON.parse(readFileSync(fixture('tokenizers/unigram-style/tokenizer.json'), 'utf8')) as { normalizer: { normalizers: { precompiled_charsmap?: string }[] } }
    const map = Buffer.from(normalizer.normalizers[0]!.precompiled_charsmap!, 'base64')
    expect(findCharsmapFault(map.toString('base64'))).to.equal(null)
    const trieBytes = map.readUInt32LE(0)
    const changed = (edit: (copy: Buffer) => void): string | null => {
      const copy = Buffer.from(map)
      edit(copy)
      return findCharsmapFault(copy.toString('base64'))
    }
    expect(changed((copy) => copy.writeUInt32LE(trieBytes + 4, 0))).to.equal('its trie has a wrong size')
    expect(changed((copy) => copy.writeUInt32LE(0x7fffffff, 0))).to.equal('its trie has a wrong size')
    expect(changed((copy) => copy.writeUInt32LE(0x7ffffcff, 4))).to.equal('its trie points outside itself')
    expect(changed((copy) => copy.writeUInt8(0xff, copy.length - 2))).to.equal('its texts are not UTF-8')
    expect(findCharsmapFault('')).to.equal('its trie has a wrong size')
  })
})

describe('patterns of tokenizers', () => {
  const accepted: Record<string, string> = {
    'GPT-2': String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
    'Llama 3': String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    'GPT-4': String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
    'GPT-4o': String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    DeepSeek: String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    Kimi: String.raw`[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{M}&&[^\p{Han}]]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{M}&&[^\p{Han}]]*|\p{N}{1,3}`,
    'digits in threes': String.raw`\d{1,3}(?=(?:\d{3})*\b)`,
    Bloom: String.raw` ?[^(\s|[.,!?…。，、।۔،])]+`,
    spaces: ' {2,}',
  }
  for (const [name, pattern] of Object.entries(accepted)) it(`${name} passes`, () => expect(checkPattern(pattern)).to.deep.equal({ slowOnDigits: name === 'digits in threes' }))

  it('that are slow on digits give long rows of them back', async () => {
    const pre_tokenizer = { type: 'Split', pattern: { Regex: String.raw`\d{1,3}(?=(?:\d{3})*\b)` }, behavior: 'Isolated', invert: false }
    const tokenizer = await loadTokenizer(modelFolder({ 'tokenizer.json': { ...small, pre_tokenizer, model: { ...small.model, unk_token: 'a' } } }))
    expect((await tokenizer.encode('1'.repeat(4000))).length).to.equal(4000)
    await failure(() => tokenizer.encode(`x${'1'.repeat(50_000)}`), 'FT_INVALID_ARGUMENT')
    tokenizer.dispose()
  })

  it('that can backtrack without end do not', () => {
    const refused = [
      '(a+)+$', '(a|aa)+$', '(a|a)*b', '(a*)*', 'a*a*b', '(.*)*x', String.raw`(\w+\s?)+$`, '(?:a?){30}b', 'a{0,9}a{0,9}a', String.raw`(a)\1`, '(?x) a', 'a**',
      String.raw`\p{L}*\p{L}*9`, '((a{2})+)+', '(?~a)', 'a?'.repeat(30) + 'a'.repeat(30), String.raw`a(?i)b*|b*b*c`, String.raw`\p{L}+\p{N}`, String.raw`\p{L}++9`, String.raw`(?=\p{L}*)`, String.raw`x\s+|\s+y`, String.raw`(?>\s+)y`, '('.repeat(1000), '[', 'a'.repeat(30_000),
    ]
    for (const pattern of refused) expect(checkPattern(pattern), pattern.slice(0, 40)).to.have.property('problem').that.is.a('string')
  })
})
