// Sizes of real models, few layers: head sizes 64 and 128, a vocabulary of many chunks, rows longer than any block
// of a kernel, every adapter and weight gradient. fp32 within tolerance; bf16 no further from fp32 than
// transformers' own bf16 is.
import { expect } from 'chai'
import { createOptimizer, loadModel, type Model } from '../../lib/models/index.js'
import { difference, type Row } from '../parity/golden.js'
import { readSafetensors } from '../parity/safetensors.js'
import { rowBatch } from '../parity/subject.js'
import { reference, referenceLogits, scratchFolder } from './shared.js'

const shapes = {
  'llama, 9 heads of 64': { model_type: 'llama', vocab_size: 5003, hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 2, num_attention_heads: 9, num_key_value_heads: 3, max_position_embeddings: 2048, tie_word_embeddings: true, rope_theta: 100000 },
  'mistral, a window of 130': { model_type: 'mistral', vocab_size: 3000, hidden_size: 256, intermediate_size: 700, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 96, max_position_embeddings: 2048, sliding_window: 130 },
  'qwen2, 14 heads of 64': { model_type: 'qwen2', vocab_size: 4097, hidden_size: 896, intermediate_size: 1100, num_hidden_layers: 2, num_attention_heads: 14, num_key_value_heads: 2, max_position_embeddings: 2048, tie_word_embeddings: true },
  'qwen3, heads of 128': { model_type: 'qwen3', vocab_size: 2500, hidden_size: 320, intermediate_size: 960, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 128, max_position_embeddings: 2048 },
}

const lengths = [641, 1, 130, 257, 33]

function makeRows(vocabSize: number): Row[] {
  let state = 99
  const next = (below: number) => (state = (state * 48271) % 2147483647) % below
  return lengths.map((length, r) => {
    const ids = Array.from({ length }, () => next(vocabSize))
    return { input_ids: ids, labels: ids.map((id, t) => r % 2 === 0 && t < length / 3 ? -100 : id) }
  })
}

async function gradientsHere(model: Model, rows: Row[], gradientCheckpointing: boolean) {
  await using optimizer = await createOptimizer(model)
  const batches = [rowBatch(rows.slice(0, 3)), rowBatch(rows.slice(3))]
  const { loss } = await optimizer.accumulate(batches, { gradientCheckpointing })
  return { loss, gradients: await optimizer.gradients() }
}

describe('sizes of real models', () => {
  for (const [name, config] of Object.entries(shapes)) {
    it(name, async () => {
      const model = scratchFolder(`size-${config.model_type}`)
      const adapter = scratchFolder(`size-${config.model_type}-adapter`)
      await reference().call('make_bare_model', { folder: model, config, seed: 4 })
      await reference().call('make_adapter', { model, folder: adapter, lora: { r: 16, lora_alpha: 32, target_modules: 'all-linear' }, seed: 5 })
      const rows = makeRows(config.vocab_size)
      const expectedLogits = await referenceLogits(model, rows.map((row) => row.input_ids), adapter)
      const gradients = async (options: { adapter?: string; dtype?: string }) => {
        const output = scratchFolder(`size-${Math.random().toString(36).slice(2)}.safetensors`)
        return { loss: await reference().call('gradients', { model, rows, output, ...options }), tensors: readSafetensors(output) }
      }
      const exact = { lora: await gradients({ adapter }), full: await gradients({}) }
      const theirs = { lora: await gradients({ adapter, dtype: 'bfloat16' }), full: await gradients({ dtype: 'bfloat16' }) }

      for (const dtype of ['fp32', 'bf16'] as const) {
        for (const method of ['lora', 'full'] as const) {
          await using subject = await loadModel({ name: model, dtype, device: 'cpu' })
          if (method === 'lora') await subject.loadAdapter(adapter)
          else await subject.setTrainable()
          if (dtype === 'fp32' && method === 'lora') {
            for (const [i, row] of rows.entries()) {
              expect(difference((await subject.forward([row.input_ids])).logits, expectedLogits[i] ?? []), `logits of row ${i}`).to.be.below(1e-5)
            }
          }
          const here = await gradientsHere(subject, rows, method === 'lora')
          const where = `${dtype} ${method}`
          expect(Object.keys(here.gradients).sort(), where).to.deep.equal([...exact[method].tensors.keys()].sort())
          expect(difference([here.loss], [exact[method].loss]), `${where} loss`).to.be.below(dtype === 'fp32' ? 1e-5 : 5e-3)
          const distances = Object.entries(here.gradients).map(([tensor, { data }]) => {
            const expected = exact[method].tensors.get(tensor)?.data ?? []
            return { tensor, ours: difference(data, expected), theirs: difference(theirs[method].tensors.get(tensor)?.data ?? [], expected) }
          })
          if (dtype === 'fp32') {
            for (const { tensor, ours } of distances) expect(ours, `${where} gradient of ${tensor}`).to.be.below(1e-4)
          } else {
            const mean = (of: 'ours' | 'theirs') => distances.reduce((sum, entry) => sum + entry[of], 0) / distances.length
            expect(mean('ours'), `${where}: mean distance from fp32; transformers ${mean('theirs')}`).to.be.below(1.25 * mean('theirs'))
            for (const { tensor, ours, theirs: other } of distances) expect(ours, `${where} gradient of ${tensor}; transformers ${other}`).to.be.below(3 * other + 0.02)
          }
        }
      }
    })
  }
})
