// Whole models across the border: what ft-native fine-tunes in full and saves is what transformers loads, what
// transformers saves again loads here, and both continue a prompt alike.
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { createOptimizer, exportModel, loadModel } from '../../lib/models/index.js'
import { difference } from '../parity/golden.js'
import { familyModel, familyNames, reference, referenceLogits, scratchFolder, tokenRows } from './shared.js'

const TOLERANCE = 1e-5
const rows = tokenRows(4, 23)

async function logitsHere(folder: string): Promise<Float32Array[]> {
  await using model = await loadModel({ name: folder, dtype: 'fp32', device: 'cpu', threads: 1 })
  const logits: Float32Array[] = []
  for (const row of rows) logits.push((await model.forward([row])).logits)
  return logits
}

function expectSame(actual: Float32Array[], expected: Float32Array[]): void {
  for (const [i, logits] of expected.entries()) expect(difference(actual[i] ?? [], logits), `row ${i}`).to.be.below(TOLERANCE)
}

describe('quantized folders', () => {
  it('have a configuration that transformers takes', async () => {
    const base = await familyModel('llama')
    for (const [format, expected] of [['bnb-4bit', { load_in_4bit: true, bnb_4bit_quant_type: 'nf4', bnb_4bit_compute_dtype: 'bfloat16' }], ['bnb-8bit', { load_in_8bit: true }]] as const) {
      const output = scratchFolder(`quantized-${format}`)
      await exportModel({ model: base, format, output })
      expect(await reference().call('quantization_config', { model: output })).to.include({ quant_method: 'bitsandbytes', llm_int8_threshold: 6, ...expected })
    }
  })
})

describe('models between ft-native and transformers', () => {
  for (const family of familyNames) {
    it(`${family}: trained in full here, loaded there, saved there, loaded here`, async () => {
      const base = await familyModel(family)
      const [single, sharded, again] = ['single', 'sharded', 'again'].map((name) => scratchFolder(`full-${family}-${name}`)) as [string, string, string]
      const ours: Float32Array[] = []
      {
        await using model = await loadModel({ name: base, dtype: 'fp32', device: 'cpu', threads: 1 })
        await model.setTrainable()
        await using optimizer = await createOptimizer(model, { learningRate: 1e-2 })
        for (let step = 0; step < 5; step++) await optimizer.step([tokenRows(3, 40 + step)])
        for (const row of rows) ours.push((await model.forward([row])).logits)
        await model.save(single)
        await model.save(sharded, { maxShardBytes: 60_000 })
      }
      expect(difference(ours[0] ?? [], (await logitsHere(base))[0] ?? []), 'training changed nothing').to.be.above(0.01)
      expect(fs.existsSync(path.join(sharded, 'model.safetensors.index.json')), 'sharded').to.equal(true)
      expectSame(await referenceLogits(single, rows), ours)
      expectSame(await referenceLogits(sharded, rows), ours)
      await reference().call('resave', { model: sharded, folder: again, max_shard_size: '50KB' })
      expectSame(await logitsHere(again), ours)
      expect(await reference().call('encode', { model: single, texts: ['Once upon a time'] })).to.deep.equal(
        await reference().call('encode', { model: base, texts: ['Once upon a time'] }))
    })

    it(`${family}: greedy generation as generate() there`, async () => {
      const base = await familyModel(family)
      await using model = await loadModel({ name: base, dtype: 'fp32', device: 'cpu', threads: 1 })
      for (const penalty of [1, 1.2]) {
        const prompt = rows[1] ?? []
        const made: number[] = []
        for await (const token of model.generate(prompt, { maxNewTokens: 24, repetitionPenalty: penalty, ignoreEos: true })) made.push(token)
        const expected = await reference().call('generate', { model: base, prompt, max_new_tokens: 24, repetition_penalty: penalty })
        expect(made, `penalty ${penalty}`).to.deep.equal(expected)
      }
    })
  }
})
