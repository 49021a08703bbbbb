// Twenty optimizer steps from the same weights, adapter and rows as transformers + PEFT, in fp32: losses and
// gradient norms of every step, the first step's gradients tensor by tensor, and the logits at the end.
import { expect } from 'chai'
import { at, difference, goldenCases, microBatches, pickRows, seriesDifference, tensorOf, type GoldenCase, type RunRecord } from './golden.js'
import { openSubject, type Subject, type Trainer } from './subject.js'

const LOSS = 1e-4
const GRADIENT = 1e-4
const TRAINED_LOGITS = 1e-4

/** Gradients of the first step, then all steps. */
async function follow(golden: GoldenCase, trainer: Trainer, record: RunRecord) {
  const { golden: facts } = golden
  const gradients = await trainer.gradients(microBatches(facts, 0))
  const losses: number[] = []
  const gradNorms: number[] = []
  for (let step = 0; step < facts.steps; step++) {
    const result = await trainer.step(microBatches(facts, step), { learningRate: record.learning_rate, maxGradNorm: record.max_grad_norm, step })
    expect(result.applied, `step ${step} applied`).to.equal(true)
    losses.push(result.loss)
    gradNorms.push(result.gradNorm)
  }
  return { gradients, losses, gradNorms }
}

async function trainedLogits(golden: GoldenCase, subject: Subject, record: RunRecord): Promise<number> {
  const { input_ids: ids, positions, tensor } = record.trained_logits
  const logits = await subject.logits(ids)
  return difference(pickRows(logits, subject.vocabSize, positions), tensorOf(golden, tensor).data)
}

describe('training as transformers and PEFT train', function () {
  this.timeout(60_000)

  for (const golden of goldenCases()) {
    it(`${golden.name}: LoRA`, async () => {
      const subject = await openSubject(golden.model)
      try {
        await subject.loadAdapter(golden.adapter)
        const record = golden.golden.lora
        const run = await follow(golden, await subject.trainer({ weightDecay: record.weight_decay }), record)
        const expected = [...golden.tensors.keys()].filter((name) => name.startsWith('lora.gradient.')).map((name) => name.slice('lora.gradient.'.length))
        expect([...run.gradients.keys()].sort()).to.deep.equal(expected.sort())
        for (const [name, gradient] of run.gradients) {
          expect(difference(gradient, tensorOf(golden, `lora.gradient.${name}`).data), `gradient of ${name}`).to.be.below(GRADIENT)
        }
        expect(seriesDifference(run.losses, record.losses), 'losses').to.be.below(LOSS)
        expect(seriesDifference(run.gradNorms, record.grad_norms), 'gradient norms').to.be.below(GRADIENT)
        expect(await trainedLogits(golden, subject, record), 'logits afterwards').to.be.below(TRAINED_LOGITS)
      } finally {
        await subject.dispose()
      }
    })

    it(`${golden.name}: full fine-tuning`, async () => {
      const subject = await openSubject(golden.model)
      try {
        await subject.trainAllWeights()
        const record = golden.golden.full
        const run = await follow(golden, await subject.trainer({ weightDecay: record.weight_decay }), record)
        expect([...run.gradients.keys()].sort()).to.deep.equal(Object.keys(record.first_gradient_norms).sort())
        for (const [name, gradient] of run.gradients) {
          const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0))
          // Zero but for rounding: keys' biases without rotary embedding.
          const scale = Math.max(norm, 1e-3 * (record.grad_norms[0] ?? NaN))
          expect(norm, `gradient norm of ${name}`).to.be.closeTo(record.first_gradient_norms[name] ?? NaN, GRADIENT * scale)
          const stored = golden.tensors.get(`full.gradient.${name}`)
          if (stored) expect(difference(gradient, stored.data), `gradient of ${name}`).to.be.below(GRADIENT)
        }
        expect(seriesDifference(run.losses, record.losses), 'losses').to.be.below(LOSS)
        expect(seriesDifference(run.gradNorms, record.grad_norms), 'gradient norms').to.be.below(GRADIENT)
        expect(await trainedLogits(golden, subject, record), 'logits afterwards').to.be.below(TRAINED_LOGITS)
      } finally {
        await subject.dispose()
      }
    })
  }
})

describe('the same gradients through a forward pass kept for one backward', function () {
  this.timeout(60_000)

  for (const golden of goldenCases()) {
    it(`${golden.name}: the gradient of the mean negative log-probability is the step's`, async () => {
      const subject = await openSubject(golden.model)
      try {
        const adapter = await subject.loadAdapter(golden.adapter)
        const batches = microBatches(golden.golden, 0)
        const supervised = batches.flat().reduce((sum, row) => sum + row.labels.slice(1).filter((label) => label !== -100).length, 0)
        const gradients = await subject.passGradients(batches, (logprobs, labels) => {
          const loss = -logprobs.reduce((sum, value) => sum + value, 0) / supervised
          return { loss, grad: Float32Array.from(labels, (label) => label === -100 ? 0 : -1 / supervised) }
        })
        expect(difference([gradients.loss], [golden.golden.lora.losses[0] ?? NaN])).to.be.below(LOSS)
        expect(gradients.tensors.size).to.equal(adapter.tensors().length)
        for (const [name, gradient] of gradients.tensors) {
          expect(difference(gradient, tensorOf(golden, `lora.gradient.${name}`).data), `gradient of ${name}`).to.be.below(GRADIENT)
        }
      } finally {
        await subject.dispose()
      }
    })
  }
})

describe('training in half precision stays close to fp32', function () {
  this.timeout(60_000)
  // Rounding of 8 (bf16) and 11 (fp16) bits through forward and backward, over twenty steps.
  const limits = { bf16: { loss: 2e-2, gradNorm: 0.12, gradient: 0.15 }, fp16: { loss: 5e-3, gradNorm: 3e-2, gradient: 4e-2 } }

  for (const golden of goldenCases()) {
    for (const dtype of ['bf16', 'fp16'] as const) {
      it(`${golden.name}: LoRA and full in ${dtype}`, async () => {
        for (const method of ['lora', 'full'] as const) {
          const subject = await openSubject(golden.model, { dtype })
          try {
            if (method === 'lora') await subject.loadAdapter(golden.adapter)
            else await subject.trainAllWeights()
            const record = golden.golden[method]
            const run = await follow(golden, await subject.trainer({ weightDecay: record.weight_decay }), record)
            for (const [name, gradient] of run.gradients) {
              const expected = golden.tensors.get(`${method}.gradient.${name}`)
              if (expected) expect(difference(gradient, expected.data), `${method} gradient of ${name}`).to.be.below(limits[dtype].gradient)
            }
            expect(seriesDifference(run.losses, record.losses), `${method} losses`).to.be.below(limits[dtype].loss)
            expect(seriesDifference(run.gradNorms, record.grad_norms), `${method} gradient norms`).to.be.below(limits[dtype].gradNorm)
          } finally {
            await subject.dispose()
          }
        }
      })
    }
  }
})

describe('the same gradients however the rows of a step are split', function () {
  this.timeout(60_000)

  for (const name of ['llama-gqa', 'mistral-window', 'qwen2-tied', 'qwen3-biases-bf16']) {
    it(`${name}: 8 × 1, 1 × 8, 4 × 2 and checkpointing`, async () => {
      const golden = at(goldenCases().filter((entry) => entry.name === name), 0)
      const rows = golden.golden.rows.slice(0, 8)
      const subject = await openSubject(golden.model, { threads: 2 })
      try {
        await subject.loadAdapter(golden.adapter)
        const trainer = await subject.trainer({ weightDecay: 0 })
        const whole = await trainer.gradients([rows])
        const splits = { single: rows.map((row) => [row]), pairs: [rows.slice(0, 2), rows.slice(2, 4), rows.slice(4, 6), rows.slice(6)],
          uneven: [rows.slice(0, 1), rows.slice(1, 8)], backwards: [[...rows].reverse()] }
        for (const [split, batches] of Object.entries(splits)) {
          for (const [tensor, gradient] of await trainer.gradients(batches)) {
            expect(difference(gradient, whole.get(tensor) ?? []), `${split}: ${tensor}`).to.be.below(1e-5)
          }
        }
        for (const [tensor, gradient] of await trainer.gradients([rows], { gradientCheckpointing: true })) {
          expect(difference(gradient, whole.get(tensor) ?? []), `checkpointing: ${tensor}`).to.be.below(1e-6)
        }
      } finally {
        await subject.dispose()
      }
    })
  }
})
