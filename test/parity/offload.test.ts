// Offloaded layers compute what the others do, bit for bit: plain and quantized matrices, transposed ones, experts.
import { expect } from 'chai'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createOptimizer, loadModel, type LoadModelOptions, type Model } from '../../lib/models/index.js'
import { rejected } from '../unit/support/caught.js'
import { goldenCases, type Golden } from './golden.js'

const cases = goldenCases().filter(({ name }) => ['llama-gqa', 'gpt2', 'gpt_oss', 'deepseek_v2'].includes(name))
const kinds: readonly Partial<LoadModelOptions>[] = [{}, { loadIn4bit: true, bnb4bitUseDoubleQuant: true }, { loadIn8bit: true }]

/** Logits, and the weights of an adapter after two steps. */
async function trained(options: LoadModelOptions, { rows }: Golden, folder: string): Promise<{ logits: number[]; adapter: Buffer }> {
  await using model: Model = await loadModel({ dtype: 'fp32', device: 'cpu', threads: 1, ...options })
  const adapter = await model.addAdapter({ r: 2, init: 'gaussian', seed: 3 })
  await using optimizer = await createOptimizer(model, { learningRate: 1e-2 })
  const two = rows.slice(0, 2)
  const batch = { inputIds: two.map(({ input_ids: ids }) => ids), labels: two.map(({ labels }) => labels) }
  for (let step = 0; step < 2; step++) await model.step(batch, optimizer, { gradientCheckpointing: step === 1 })
  await adapter.save(folder)
  const { logits } = await model.forward([rows[0]?.input_ids ?? []])
  return { logits: [...logits], adapter: fs.readFileSync(path.join(folder, 'adapter_model.safetensors')) }
}

describe('offloaded layers', () => {
  let space: string
  before(() => (space = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-offload-'))))
  after(() => fs.rmSync(space, { recursive: true, force: true }))

  for (const { name, model, golden } of cases) {
    for (const kind of kinds) {
      it(`${name}${kind.loadIn4bit ? ' in 4 bits' : kind.loadIn8bit ? ' in 8 bits' : ''}`, async () => {
        const [plain, offloaded] = [
          await trained({ name: model, ...kind }, golden, path.join(space, `${name}-plain`)),
          await trained({ name: model, ...kind, offloadLayers: 1 }, golden, path.join(space, `${name}-offloaded`)),
        ]
        expect(offloaded.logits).to.deep.equal(plain.logits)
        expect(Buffer.compare(offloaded.adapter, plain.adapter)).to.equal(0)
      })
    }
  }

  it('are saved with the others, and not trained', async () => {
    const [one] = cases
    await using model = await loadModel({ name: one?.model ?? '', dtype: 'fp32', device: 'cpu', offloadLayers: 1 })
    await model.save(path.join(space, 'saved'))
    await using plain = await loadModel({ name: one?.model ?? '', dtype: 'fp32', device: 'cpu' })
    await plain.save(path.join(space, 'plain'))
    expect(Buffer.compare(fs.readFileSync(path.join(space, 'saved/model.safetensors')), fs.readFileSync(path.join(space, 'plain/model.safetensors')))).to.equal(0)
    expect((await rejected(model.setTrainable())).code).to.equal('FT_INCOMPATIBLE_CONFIG')
  })
})
