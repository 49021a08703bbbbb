// Quantizing while loading: the resident memory of a process never exceeds what the weights take in the end by more than the largest tensor
// in its stored type. In a process of its own, behind a first small load, so that code and libraries are there already.
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { loadModel } from '../../lib/models/index.js'
import { temporaryFolder } from './support.js'

const child = path.join(path.dirname(fileURLToPath(import.meta.url)), 'load-memory-child.ts')
/** Pieces on their way to fp32, pages around blocks, and what JavaScript does meanwhile. A second copy of the tensor would be 8.4 MB more. */
const room = 6e6

const sizes = { vocab_size: 2048, hidden_size: 1024, num_hidden_layers: 3 }
const families = {
  llama: { model_type: 'llama', ...sizes, intermediate_size: 4096, num_attention_heads: 8, num_key_value_heads: 2, tie_word_embeddings: true },
  // Its weights are stored the other way round.
  gpt2: { model_type: 'gpt2', vocab_size: sizes.vocab_size, n_embd: sizes.hidden_size, n_layer: sizes.num_hidden_layers, n_head: 8, n_positions: 128 },
}
const largest = 4096 * 1024 * 2

describe('memory while loading', function () {
  this.timeout(120_000)
  before(function () {
    if (!existsSync('/proc/self/clear_refs')) this.skip()
  })

  for (const [family, config] of Object.entries(families)) {
    it(`${family}: beside quantized weights there is one tensor at a time`, async () => {
      const made = temporaryFolder()
      const model = temporaryFolder()
      writeFileSync(path.join(made, 'config.json'), JSON.stringify(config))
      await using random = await loadModel({ name: made, dtype: 'bf16', device: 'cpu', init: 'random' })
      await random.save(model)
      for (const how of [{ loadIn4bit: true }, { loadIn8bit: true }]) {
        const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', child, JSON.stringify({ name: model, dtype: 'bf16', device: 'cpu', threads: 1, ...how })], { encoding: 'utf8' })
        expect(status, stderr).to.equal(0)
        const { grown, weights } = JSON.parse(stdout) as { grown: number; weights: number }
        expect(weights, 'quantized').to.be.below(largest * 8)
        expect(grown, `${JSON.stringify(how)}: ${weights} bytes of weights`).to.be.below(weights + largest + room)
      }
    })
  }
})
