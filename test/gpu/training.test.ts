// A CUDA device computes what the CPU computes: logits, losses, gradient norms and gradients of LoRA and full training in
// fp32, with and without checkpointing and dropout, on the golden models; half precision stays close. Run by `npm run test:gpu`.
import { expect } from 'chai'
import { difference, goldenCases, microBatches, seriesDifference, type GoldenCase } from '../parity/golden.js'
import { openSubject, type Subject } from '../parity/subject.js'

type Device = 'cpu' | 'cuda'
type Method = 'lora' | 'full'

interface Run { gradients: Map<string, Float32Array>; losses: number[]; gradNorms: number[]; logits: Float32Array }

const STEPS = 5

async function train(subject: Subject, golden: GoldenCase, method: Method, gradientCheckpointing: boolean): Promise<Run> {
  if (method === 'lora') await subject.loadAdapter(golden.adapter)
  else await subject.trainAllWeights()
  const record = golden.golden[method]
  const trainer = await subject.trainer({ weightDecay: record.weight_decay })
  const gradients = await trainer.gradients(microBatches(golden.golden, 0), { gradientCheckpointing })
  const losses: number[] = []
  const gradNorms: number[] = []
  for (let step = 0; step < STEPS; step++) {
    const result = await trainer.step(microBatches(golden.golden, step), { learningRate: record.learning_rate, maxGradNorm: record.max_grad_norm, step })
    expect(result.applied, `step ${step} applied`).to.equal(true)
    losses.push(result.loss)
    gradNorms.push(result.gradNorm)
  }
  return { gradients, losses, gradNorms, logits: await subject.logits(golden.golden.rows[0]?.input_ids ?? []) }
}

async function runOn(device: Device, golden: GoldenCase, method: Method, { dtype = 'fp32', gradientCheckpointing = false }: { dtype?: 'fp32' | 'bf16' | 'fp16'; gradientCheckpointing?: boolean } = {}): Promise<Run> {
  const subject = await openSubject(golden.model, { device, dtype })
  try {
    return await train(subject, golden, method, gradientCheckpointing)
  } finally {
    await subject.dispose()
  }
}

interface Limits { losses: number; gradNorms: number; gradients: number; logits?: number }

// As test/parity holds the CPU to transformers.
const limits = {
  fp32: { losses: 1e-4, gradNorms: 2e-4, gradients: 2e-4, logits: 2e-4 },
  bf16: { losses: 2e-2, gradNorms: 8e-2, gradients: 0.15 },
  fp16: { losses: 5e-3, gradNorms: 3e-2, gradients: 4e-2 },
} satisfies Record<string, Limits>

function expectClose(actual: Run, expected: Run, limit: Limits) {
  expect(seriesDifference(actual.losses, expected.losses), 'losses').to.be.below(limit.losses)
  expect(seriesDifference(actual.gradNorms, expected.gradNorms), 'gradient norms').to.be.below(limit.gradNorms)
  expect([...actual.gradients.keys()]).to.deep.equal([...expected.gradients.keys()])
  for (const [name, gradient] of actual.gradients) {
    expect(difference(gradient, expected.gradients.get(name) ?? []), `gradient of ${name}`).to.be.below(limit.gradients)
  }
  if (limit.logits !== undefined) expect(difference(actual.logits, expected.logits), 'logits afterwards').to.be.below(limit.logits)
}

describe('a CUDA device against the CPU', function () {
  this.timeout(300_000)

  for (const golden of goldenCases()) {
    for (const method of ['lora', 'full'] as const) {
      it(`${golden.name}: ${method} in fp32`, async () => {
        const expected = await runOn('cpu', golden, method)
        expectClose(await runOn('cuda', golden, method), expected, limits.fp32)
        expectClose(await runOn('cuda', golden, method, { gradientCheckpointing: true }), expected, limits.fp32)
      })

      it(`${golden.name}: ${method} in bf16 and fp16`, async () => {
        const expected = await runOn('cpu', golden, method)
        expectClose(await runOn('cuda', golden, method, { dtype: 'bf16' }), expected, limits.bf16)
        expectClose(await runOn('cuda', golden, method, { dtype: 'fp16' }), expected, limits.fp16)
      })
    }
  }

  it('drops the same elements', async () => {
    const golden = goldenCases()[0]
    if (!golden) throw new Error('no golden case')
    const runs: Record<Device, number[]> = { cpu: [], cuda: [] }
    for (const device of ['cpu', 'cuda'] as const) {
      const subject = await openSubject(golden.model, { device })
      try {
        await subject.model.addAdapter({ r: 4, loraAlpha: 8, loraDropout: 0.5, targetModules: 'all-linear', seed: 3 })
        const trainer = await subject.trainer({ weightDecay: 0 })
        for (let step = 0; step < STEPS; step++) {
          runs[device].push((await trainer.step(microBatches(golden.golden, step), { learningRate: 1e-2, maxGradNorm: 1, step })).loss)
        }
      } finally {
        await subject.dispose()
      }
    }
    expect(seriesDifference(runs.cuda, runs.cpu)).to.be.below(1e-4)
  })
})
