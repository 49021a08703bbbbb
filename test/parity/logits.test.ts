// Logits of every golden case against transformers and PEFT: fp32 within 1e-5 (max |a - b| / max |b|), the
// half precisions not farther from that than the reference's own; a row's logits do not depend on the rows beside it.
import { expect } from 'chai'
import { difference, goldenCases, pickRows, tensorOf, type GoldenCase } from './golden.js'
import { openSubject, type Subject } from './subject.js'

const FP32 = 1e-5
// How far roundings of 2^-9 (bf16) or 2^-12 (fp16) add up depends on the model: times what the reference's own come to.
const HALF_ROOM = 3

async function compare(golden: GoldenCase, subject: Subject, withAdapter: boolean, tolerance: number): Promise<void> {
  const records = golden.golden.logits.filter((record) => record.adapter === withAdapter)
  expect(records).to.not.be.empty
  for (const record of records) {
    const logits = await subject.logits(record.input_ids)
    expect(logits.length).to.equal(record.input_ids.length * subject.vocabSize)
    const picked = pickRows(logits, subject.vocabSize, record.positions)
    expect(difference(picked, tensorOf(golden, record.tensor).data), record.tensor).to.be.below(tolerance)
  }
}

describe('logits as transformers computes them', function () {
  this.timeout(60_000)

  for (const golden of goldenCases()) {
    it(`${golden.name}: base, then with its PEFT adapter`, async () => {
      const subject = await openSubject(golden.model)
      try {
        await compare(golden, subject, false, FP32)
        await subject.loadAdapter(golden.adapter)
        await compare(golden, subject, true, FP32)
      } finally {
        await subject.dispose()
      }
    })

    for (const dtype of ['bf16', 'fp16'] as const) {
      it(`${golden.name}: computed in ${dtype}`, async () => {
        const subject = await openSubject(golden.model, { dtype })
        try {
          const tolerance = HALF_ROOM * golden.golden.half_logits[dtype]
          await compare(golden, subject, false, tolerance)
          await subject.loadAdapter(golden.adapter)
          await compare(golden, subject, true, tolerance)
        } finally {
          await subject.dispose()
        }
      })
    }
  }

  it('a row has the same logits alone and among others', async () => {
    for (const golden of goldenCases()) {
      const subject = await openSubject(golden.model)
      try {
        const rows = golden.golden.logits.filter((record) => !record.adapter).map((record) => record.input_ids)
        const together = await subject.logitsOfRows(rows)
        for (const [i, row] of rows.entries()) {
          expect(difference(together[i] ?? [], await subject.logits(row)), `${golden.name} row ${i}`).to.be.below(3e-6)
        }
      } finally {
        await subject.dispose()
      }
    }
  })

  it('log-probabilities are those of the logits', async () => {
    for (const golden of goldenCases()) {
      const subject = await openSubject(golden.model)
      try {
        const rows = golden.golden.rows.slice(0, 3)
        const logprobs = await subject.logprobs(rows)
        for (const [i, row] of rows.entries()) {
          const logits = await subject.logits(row.input_ids)
          const expected = row.labels.map((label, t) => label === -100 || t === 0 ? 0 : logSoftmax(logits, subject.vocabSize, t - 1, label))
          expect(difference(logprobs[i] ?? [], expected), `${golden.name} row ${i}`).to.be.below(1e-5)
        }
      } finally {
        await subject.dispose()
      }
    }
  })
})

function logSoftmax(logits: Float32Array, vocabSize: number, position: number, label: number): number {
  const row = logits.subarray(position * vocabSize, (position + 1) * vocabSize)
  const largest = row.reduce((a, b) => Math.max(a, b))
  const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0)
  return (row[label] ?? NaN) - largest - Math.log(sum)
}
