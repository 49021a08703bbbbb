// Models with experts against transformers and PEFT, where families.test.ts does not reach: the load-balancing loss in training, adapters
// that were made before transformers fused experts, and gpt_oss in mxfp4.
import path from 'node:path'
import { expect } from 'chai'
import { exportModel, mergeAdapter } from '../../lib/models/index.js'
import { readTensors } from '../../scripts/quantization/safetensors.js'
import { difference } from '../parity/golden.js'
import { readSafetensors } from '../parity/safetensors.js'
import { openSubject } from '../parity/subject.js'
import { reference, scratchFolder } from './shared.js'

describe('experts as transformers and PEFT have them', function () {
  this.timeout(180_000)

  for (const name of ['mixtral', 'qwen2_moe', 'gpt_oss']) {
    it(`${name}: the load-balancing loss joins the training loss, with its gradient, checkpointed or not`, async () => {
      const folder = scratchFolder(`balanced-${name}`)
      const { rows, loss, balance } = await reference().call('balanced', { name, folder })
      const expected = readSafetensors(path.join(folder, 'reference.safetensors'))
      const largest = Math.max(...[...expected.values()].map(({ data }) => data.reduce((a, b) => Math.max(a, Math.abs(b)), 0)))
      expect(balance).to.be.above(0.05 * loss)
      const subject = await openSubject(path.join(folder, 'model'))
      try {
        await subject.trainAllWeights()
        const trainer = await subject.trainer({ weightDecay: 0 })
        for (const gradientCheckpointing of [false, true]) {
          for (const [tensor, gradient] of await trainer.gradients([rows], { gradientCheckpointing })) {
            const { data } = expected.get(`gradient.${tensor}`) ?? { data: new Float32Array() }
            const scale = data.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
            const error = gradient.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (data[i] ?? NaN))), 0)
            expect(error / Math.max(scale, 1e-3 * largest), `gradient of ${tensor}`).to.be.below(1e-4)
          }
        }
        expect(difference([(await trainer.step([rows], { learningRate: 0, maxGradNorm: 1, step: 0 })).loss], [loss]), 'loss').to.be.below(1e-5)
      } finally {
        await subject.dispose()
      }
    })
  }

  for (const name of ['mixtral', 'qwen3_moe', 'deepseek_v3']) {
    it(`${name}: an adapter of single experts is read, saved fused and merged as PEFT does`, async () => {
      const folder = scratchFolder(`older-${name}`)
      const { rows } = await reference().call('older_adapter', { name, folder })
      const [model, adapter, output] = [path.join(folder, 'model'), path.join(folder, 'older'), path.join(folder, 'merged')]
      const subject = await openSubject(model)
      try {
        const loaded = await subject.loadAdapter(adapter)
        const logits = readSafetensors(path.join(folder, 'reference.safetensors'))
        for (const [i, row] of rows.entries()) {
          expect(difference(await subject.logits(row.input_ids), logits.get(`adapted.${i}`)?.data ?? []), `row of ${row.input_ids.length} tokens`).to.be.below(1e-5)
        }
        await loaded.save(path.join(folder, 'ours'))
      } finally {
        await subject.dispose()
      }
      const [ours, theirs] = ['ours', 'fused'].map((made) => readSafetensors(path.join(folder, made, 'adapter_model.safetensors')))
      expect([...ours?.keys() ?? []].sort()).to.deep.equal([...theirs?.keys() ?? []].sort())
      for (const [tensor, { data }] of theirs ?? []) expect(difference(ours?.get(tensor)?.data ?? [], data), tensor).to.equal(0)
      await mergeAdapter({ model, adapter, output })
      const [merged, expected] = ['merged', 'merged-peft'].map((made) => readSafetensors(path.join(folder, made, 'model.safetensors')))
      for (const [tensor, { data }] of expected ?? []) expect(difference(merged?.get(tensor)?.data ?? [], data), tensor).to.be.below(1e-5)
    })
  }

  it('gpt_oss in mxfp4: values byte for byte, and logits', async () => {
    const folder = scratchFolder('mxfp4')
    const { rows } = await reference().call('mxfp4', { folder })
    const [packed, output, file] = [path.join(folder, 'packed'), path.join(folder, 'plain'), path.join(folder, 'reference.safetensors')]
    const subject = await openSubject(packed)
    try {
      const logits = readSafetensors(file)
      for (const [i, row] of rows.entries()) {
        expect(difference(await subject.logits(row.input_ids), logits.get(`logits.${i}`)?.data ?? []), `row of ${row.input_ids.length} tokens`).to.be.below(1e-5)
      }
    } finally {
      await subject.dispose()
    }
    await exportModel({ model: packed, format: 'plain', output, dtype: 'bf16' })
    const [ours, theirs] = [readTensors(path.join(output, 'model.safetensors')), readTensors(file)]
    const experts = [...theirs.keys()].filter((name) => name.includes('experts'))
    expect(experts.length).to.equal(4)
    for (const name of experts) expect(ours.get(name), name).to.deep.equal(theirs.get(name))
  })
})
