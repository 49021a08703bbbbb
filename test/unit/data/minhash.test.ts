// MinHash: estimates against exact Jaccard similarities, planted near-duplicates found at the stated recall.
import { expect } from 'chai'
import fc from 'fast-check'
import { KeySet, keyOfText } from '../../../lib/data/key-set.js'
import { bandsFor, similarityOf, SketchIndex, sketchOf, wordHashes } from '../../../lib/data/minhash.js'
import { randomStream } from '../../../lib/data/random.js'

const next = randomStream(7)
const word = (): string => (next() % 5000).toString(36)
const words = (count: number): string[] => Array.from({ length: count }, word)

function jaccard(a: readonly string[], b: readonly string[], n: number): number {
  const grams = (list: readonly string[]) => new Set(Array.from({ length: Math.max(1, list.length - n + 1) }, (_, i) => list.slice(i, i + n).join(' ')))
  const [left, right] = [grams(a), grams(b)]
  const both = [...left].filter((gram) => right.has(gram)).length
  return both / (left.size + right.size - both)
}

/** `text` with some words replaced. */
function edited(text: readonly string[], edits: number): string[] {
  const copy = [...text]
  for (let i = 0; i < edits; i++) copy[next() % copy.length] = word()
  return copy
}

describe('MinHash', () => {
  it('estimates the Jaccard similarity within its error', () => {
    let worst = 0
    let sum = 0
    for (let i = 0; i < 400; i++) {
      const text = words(20 + (next() % 300))
      const other = edited(text, next() % 12)
      const exact = jaccard(text, other, 5)
      const error = similarityOf(sketchOf(text.join(' '), 5)!, sketchOf(other.join(' '), 5)!) - exact
      worst = Math.max(worst, Math.abs(error))
      sum += error
    }
    expect(worst).to.be.below(0.045 * 4.5)
    expect(Math.abs(sum / 400), 'no bias').to.be.below(0.01)
  })

  it('finds planted near-duplicates, and little else', () => {
    for (const threshold of [0.5, 0.8, 0.9]) {
      const index = new SketchIndex(threshold)
      const texts = Array.from({ length: 500 }, () => words(30 + (next() % 200)))
      for (const text of texts) index.add(sketchOf(text.join(' '), 5)!)
      const seen = { near: 0, found: 0, far: 0, wrong: 0 }
      texts.forEach((text, number) => {
        const other = edited(text, next() % 8)
        const exact = jaccard(text, other, 5)
        const at = index.find(sketchOf(other.join(' '), 5)!)
        if (exact >= threshold + 0.08) seen.found += Number((seen.near++, at === number))
        if (exact <= threshold - 0.2) seen.wrong += Number((seen.far++, at >= 0))
      })
      expect(seen.near, `${threshold}`).to.be.above(20)
      expect(seen.found / seen.near, `recall at ${threshold}`).to.be.at.least(0.95)
      expect(seen.wrong, `wrong at ${threshold}`).to.be.at.most(0.02 * seen.far + 1)
    }
  })

  it('bands are as long as the recall allows', () => {
    for (const threshold of [0.3, 0.5, 0.8, 0.95, 1]) {
      const { bands, rows } = bandsFor(threshold)
      expect(bands * rows).to.be.at.most(128)
      expect(1 - (1 - threshold ** rows) ** bands).to.be.at.least(0.95)
    }
  })

  it('words: case and punctuation do not count; scripts without spaces count characters', () => {
    expect(wordHashes('Hello,  World!')).to.deep.equal(wordHashes('hello world'))
    expect(wordHashes('hello world')).not.to.deep.equal(wordHashes('helloworld'))
    expect(wordHashes('今日は')).to.have.length(3)
    expect(sketchOf(' … !?', 5)).to.equal(null)
    expect([...sketchOf('one two', 5)!]).not.to.deep.equal([...sketchOf('one three', 5)!])
  })

  it('a row that shares its opening with thousands is found all the same while it is among the first', () => {
    const index = new SketchIndex(0.8)
    const opening = words(60)
    const rows = Array.from({ length: 3000 }, () => [...opening, ...words(40)].join(' '))
    for (const row of rows) index.add(sketchOf(row, 5)!)
    expect(index.size).to.equal(3000)
    for (const number of [0, 1, 30]) expect(index.find(sketchOf(rows[number]!, 5)!)).to.equal(number)
  })
})

describe('KeySet', () => {
  it('is a set', () => {
    const key = fc.tuple(fc.nat(3), fc.oneof(fc.nat(3), fc.nat(0xffff_ffff)))
    fc.assert(fc.property(fc.array(key, { maxLength: 4000 }), (keys) => {
      const set = new KeySet()
      const plain = new Set<string>()
      for (const [high, low] of keys) {
        expect(set.add(high, low)).to.equal(!plain.has(`${high},${low}`))
        plain.add(`${high},${low}`)
      }
      expect(set.size).to.equal(plain.size)
      set.retain((_high, low) => low % 2 === 0)
      const even = [...plain].filter((text) => Number(text.split(',')[1]) % 2 === 0)
      expect(set.size).to.equal(even.length)
      for (const [high, low] of keys) expect(set.has(high, low)).to.equal(low % 2 === 0)
    }), { numRuns: 30 })
    const grown = new KeySet()
    for (let i = 0; i < 5000; i++) expect(grown.add(...keyOfText(`${i}`))).to.equal(true)
    for (let i = 0; i < 5000; i++) expect(grown.add(...keyOfText(`${i}`))).to.equal(false)
  })
})
