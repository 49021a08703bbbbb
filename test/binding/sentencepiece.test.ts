// `.model` files: round trips, and damaged or hostile files, which give a typed error or a working model, never a crash.
// Mutations run in a child process, so that a crash is a failed test and not a dead test runner.
import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { native } from '../../lib/native/binding.js'
import { failsWith, temporaryFolder } from './support.js'

const fixtures = fileURLToPath(new URL('../fixtures/tokenizers', import.meta.url))
const models = ['sp-bpe', 'sp-unigram'].map((name) => path.join(fixtures, name, 'tokenizer.model'))

// --- the wire format, enough to build files by hand -------------------------------------------------------------
function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = BigInt(value); ; rest >>= 7n) {
    const low = Number(rest & 0x7fn)
    if (rest >> 7n === 0n) return Buffer.from([...bytes, low])
    bytes.push(low | 0x80)
  }
}
const field = (number: number, content: Buffer): Buffer => Buffer.concat([varint((number << 3) | 2), varint(content.length), content])
const integer = (number: number, value: number): Buffer => Buffer.concat([varint(number << 3), varint(value)])
function float(number: number, value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return Buffer.concat([varint((number << 3) | 5), bytes])
}
function piece(text: string | Buffer, score = -1, type = 1): Buffer {
  return field(1, Buffer.concat([field(1, Buffer.from(text)), float(2, score), integer(3, type)]))
}
const trainer = (type: number): Buffer => field(2, integer(3, type))
const normalizer = (table: Buffer): Buffer => field(3, field(2, table))
/** [array bytes][units][strings] */
function table(units: number[], strings: string): Buffer {
  const array = Buffer.alloc(units.length * 4)
  units.forEach((unit, index) => array.writeUInt32LE(unit >>> 0, index * 4))
  const size = Buffer.alloc(4)
  size.writeUInt32LE(array.length)
  return Buffer.concat([size, array, Buffer.from(strings)])
}
const offset = (value: number): number => value << 10
const base = [piece('<unk>', 0, 2), piece('<s>', 0, 3), piece('</s>', 0, 3), piece('▁a'), piece('a', -2), piece('▁', -3)]

function write(...parts: Buffer[]): string {
  const file = path.join(temporaryFolder(), 'tokenizer.model')
  fs.writeFileSync(file, Buffer.concat(parts))
  return file
}

describe('sentencepiece', function () {
  this.timeout(120_000)

  before(function () {
    if (native().buildInfo().sentencepiece === null) this.skip()
  })

  for (const file of models) {
    describe(path.basename(path.dirname(file)), () => {
      it('encodes and decodes, with offsets into the bytes of the text', () => {
        const model = native().loadSentencepiece(file)
        for (const text of ['Hello world', 'naïve café — 東京 😀 e\u0301', '', '\t\n  ', 'a'.repeat(100_000)]) {
          const ids = model.encode(text)
          const both = model.encodeWithOffsets(text)
          expect(both.ids).to.deep.equal(ids)
          expect(both.offsets.length).to.equal(2 * ids.length)
          const bytes = Buffer.byteLength(text)
          for (let i = 0; i < ids.length; i++) {
            const [begin, end] = [both.offsets[2 * i] as number, both.offsets[2 * i + 1] as number]
            expect(begin).to.be.within(0, end)
            expect(end).to.be.at.most(bytes)
          }
        }
        expect(model.decode(model.encode('Hello world'))).to.equal('Hello world')
        const pieces = model.pieces()
        expect(pieces.filter((entry) => entry.type === 2).length).to.equal(1)
        model.dispose()
      })

      it('refuses ids outside the vocabulary and wrong arguments', async () => {
        const model = native().loadSentencepiece(file)
        const size = model.pieces().length
        for (const ids of [[-1], [size], [2 ** 31 - 1]]) await failsWith('FT_INVALID_ARGUMENT', () => model.decode(Int32Array.from(ids)))
        await failsWith('FT_INVALID_ARGUMENT', () => model.decode([1] as unknown as Int32Array))
        await failsWith('FT_INVALID_ARGUMENT', () => model.encode(1 as unknown as string))
        model.encode('\ud800') // a lone surrogate becomes U+FFFD on the way
        model.dispose()
        await failsWith('FT_HANDLE_DISPOSED', () => model.encode('x'))
      })

      it('survives mutations: a working model or a typed error', () => {
        const child = fileURLToPath(new URL('./fixtures/mutate-model.ts', import.meta.url))
        const result = spawnSync(process.execPath, ['--import', 'tsx', child, file, '300'], { encoding: 'utf8', timeout: 90_000 })
        expect(result.signal, result.stderr.slice(-2000)).to.equal(null)
        expect(result.status, result.stderr.slice(-2000)).to.equal(0)
        const counts = JSON.parse(result.stdout) as { loaded: number; refused: number }
        expect(counts.loaded).to.be.greaterThan(0)
        expect(counts.refused).to.be.greaterThan(0)
      })
    })
  }

  it('accepts a model built by hand', () => {
    const model = native().loadSentencepiece(write(...base, trainer(1)))
    expect(model.decode(model.encode('a a'))).to.equal('a a')
    model.dispose()
  })

  const refused: Record<string, Buffer[]> = {
    'an empty file': [],
    'text': [Buffer.from('not a model at all')],
    'half a file': [Buffer.concat(base).subarray(0, 20)],
    'no unknown piece': base.slice(1),
    'two unknown pieces': [...base, piece('<unk2>', 0, 2)],
    'the same piece twice': [...base, piece('a')],
    'an empty piece': [...base, piece('')],
    'a piece with NUL': [...base, piece('a\0b')],
    'a piece that is not UTF-8': [...base, piece(Buffer.from([0xff, 0xfe]))],
    'a piece with a surrogate': [...base, piece(Buffer.from([0xed, 0xa0, 0x80]))],
    'an endless piece': [...base, piece('x'.repeat(10_000))],
    'a score that is not a number': [...base, piece('b', NaN)],
    'an infinite score': [...base, piece('b', Infinity)],
    'a piece type that does not exist': [...base, piece('b', 0, 9)],
    'a byte piece that names no byte': [...base, piece('<0xZZ>', 0, 6)],
    'a model type that does not exist': [...base, trainer(17)],
    'pieces as a number': [...base, integer(1, 5)],
    'a group': [...base, Buffer.from([0x0b, 0x0c])],
    'field 0': [...base, Buffer.from([0x00, 0x01])],
    'a length beyond the file': [...base, Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])],
    'an endless number': [...base, Buffer.from([0x08, ...new Array<number>(12).fill(0xff)])],
    'user pieces that nest too deep': [...base, ...Array.from({ length: 80 }, (_, i) => piece('q'.repeat(i + 1), 0, 4))],
    'a table without content': [...base, normalizer(Buffer.from([1, 2]))],
    'a table longer than its blob': [...base, normalizer(Buffer.from([0xff, 0xff, 0xff, 0x7f, 0, 0]))],
    'a table that is too small': [...base, normalizer(table([0], '\0'))],
    'a table that points outside': [...base, normalizer(table([offset(100_000), ...new Array<number>(255).fill(0)], '\0'))],
    'a table whose values point outside': [...base, normalizer(table([offset(1) | 0x100, 0x80001000, ...new Array<number>(254).fill(0)], 'x\0'))],
    'a table whose strings do not end': [...base, normalizer(table(new Array<number>(256).fill(0), 'x'))],
    'a table whose strings are not UTF-8': [...base, Buffer.concat([normalizer(Buffer.concat([table(new Array<number>(256).fill(0), ''), Buffer.from([0xff, 0])]))])],
    // Unit 0x61 is reached by "a" and leads back to itself: "aaaa…" matches for ever.
    'a table with a cycle': [...base, normalizer(table(Array.from({ length: 256 }, (_, i) => (i === 0 ? offset(0) : i === 0x61 ? offset(0x61) | 0x61 : 0xff)), '\0'))],
  }
  for (const [name, parts] of Object.entries(refused)) {
    it(`refuses ${name}`, async () => {
      const error = await failsWith('FT_TOKENIZER', () => native().loadSentencepiece(write(...parts)))
      expect(error.remedy).to.not.equal('')
    })
  }

  it('refuses what is not a file', async () => {
    await failsWith('FT_TOKENIZER_MISSING', () => native().loadSentencepiece(path.join(temporaryFolder(), 'none.model')))
    await failsWith('FT_TOKENIZER_MISSING', () => native().loadSentencepiece(temporaryFolder()))
  })
})
