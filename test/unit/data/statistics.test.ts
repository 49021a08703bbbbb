// DatasetStatistics: against plain counting, exact where it says so, within 1 % or the stated sample elsewhere.
import { expect } from 'chai'
import fc from 'fast-check'
import { DatasetStatistics } from '../../../lib/data/dataset-statistics.js'
import { keyOfText } from '../../../lib/data/key-set.js'
import { DuplicateCounter } from '../../../lib/data/statistics/duplicate-counter.js'
import { LengthSketch } from '../../../lib/data/statistics/length-sketch.js'

const place = (line: number) => ({ file: 'f', line })

describe('LengthSketch', () => {
  it('has the quantiles of the sorted lengths: exactly below 16384, within 1 % above', () => {
    const length = fc.oneof(fc.nat(100), fc.nat(20_000), fc.nat(50_000_000))
    fc.assert(fc.property(fc.array(length, { minLength: 1, maxLength: 300 }), fc.double({ min: 0, max: 1, noNaN: true }), (lengths, share) => {
      const sketch = new LengthSketch()
      for (const one of lengths) sketch.add(one)
      const sorted = [...lengths].sort((a, b) => a - b)
      const expected = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number
      const found = sketch.quantile(share)
      if (expected < 16_384 || share === 1) expect(found).to.equal(expected)
      else expect(Math.abs(found - expected)).to.be.at.most(0.01 * expected + 1)
      const { exact, min, max, mean } = sketch.summary()
      expect([exact, min, max]).to.deep.equal([sorted.every((one) => one < 16_384), sorted[0], sorted[sorted.length - 1]])
      expect(mean).to.be.closeTo(lengths.reduce((a, b) => a + b) / lengths.length, 1e-6 * mean + 1e-9)
    }))
  })

  it('has a histogram whose bins join, hold every row, and are not many', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.nat(30), fc.nat(3000), fc.nat(1e6)), { minLength: 1, maxLength: 200 }), fc.integer({ min: 2, max: 30 }), (lengths, most) => {
      const sketch = new LengthSketch()
      for (const one of lengths) sketch.add(one)
      const bins = sketch.histogram(most)
      expect(bins.length).to.be.at.most(most + 2)
      expect(bins.reduce((sum, bin) => sum + bin.rows, 0)).to.equal(lengths.length)
      bins.forEach((bin, i) => {
        if (i > 0) expect(bin.from).to.equal(bins[i - 1]!.to + 1)
        if (bin.to < 16_000) expect(bin.rows).to.equal(lengths.filter((one) => one >= bin.from && one <= bin.to).length)
      })
    }))
    expect(new LengthSketch().histogram()).to.deep.equal([])
  })
})

describe('DuplicateCounter', () => {
  it('is exact while the different rows fit, then an estimate that says so', () => {
    const counter = new DuplicateCounter(1000)
    for (let i = 0; i < 900; i++) counter.add(...keyOfText(`${i % 600}`))
    expect([counter.repeats, counter.exact]).to.deep.equal([300, true])
    const large = new DuplicateCounter(1000)
    for (let i = 0; i < 40_000; i++) large.add(...keyOfText(`${i % 30_000}`))
    expect(large.exact).to.equal(false)
    // 10000 repeats, of which some 500 to 1000 of 30000 keys are in the sample.
    expect(large.repeats).to.be.within(8000, 12_000)
  })
})

describe('DatasetStatistics', () => {
  it('counts what passes', () => {
    const statistics = new DatasetStatistics()
    const texts = ['Hello 42', '', ' \n', 'Hello 42', 'bell\u0007', Array.from({ length: 30 }, () => 'the same two lines').join('\n')]
    texts.forEach((text, i) => statistics.add({ text, shape: i === 1 ? 'prompt_completion' : 'text', place: place(i + 1), tokens: i, supervised: Math.floor(i / 2) }))
    const report = statistics.report()
    expect(report.rows).to.equal(6)
    expect(report.shapes).to.deep.equal({ text: 5, prompt_completion: 1 })
    expect(report.duplicates).to.deep.equal({ rows: 1, share: 1 / 6, exact: true })
    expect(report.tokens).to.include({ total: 15, supervised: 6, supervisedShare: 0.4, p50: 2, max: 5 })
    expect(report.quality).to.include({ emptyRows: 2, rowsWithControls: 1, repetitiveRows: 1 })
    expect(report.characters.total).to.equal(texts.join('').length)
    expect(report.longest.map((row) => [row.place, row.tokens])).to.deep.equal([['f:6', 5], ['f:5', 4], ['f:4', 3], ['f:3', 2], ['f:2', 1], ['f:1', 0]])
  })

  it('keeps the ten longest, the earlier of equals, and needs no tokens', () => {
    fc.assert(fc.property(fc.array(fc.nat(40), { maxLength: 100 }), (lengths) => {
      const statistics = new DatasetStatistics()
      lengths.forEach((length, i) => statistics.add({ text: 'x'.repeat(length), shape: 'text', place: place(i) }))
      const { longest, tokens } = statistics.report()
      const sorted = lengths.map((length, i) => ({ length, i })).sort((a, b) => b.length - a.length || a.i - b.i).slice(0, 10)
      expect(longest).to.deep.equal(sorted.map(({ length, i }) => ({ place: `f:${i}`, characters: length })))
      expect(tokens).to.equal(null)
    }))
  })
})
