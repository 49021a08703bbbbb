// Is the estimate of memory what the engine takes? The most bytes of tensors at a time, each case in a process of its own: they
// do not depend on the machine, its load or other memory.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { diagnostics } from '../../lib/models/index.js'
import { temporaryFolder } from './support.js'

const child = path.join(path.dirname(fileURLToPath(import.meta.url)), 'memory-child.ts')

const sizes = { vocab_size: 8192, hidden_size: 256, intermediate_size: 768, num_hidden_layers: 4, num_attention_heads: 8, num_key_value_heads: 2, max_position_embeddings: 4096 }

const cases = [
  { family: 'llama', tie: false, method: 'lora', dtype: 'fp32', rows: [300, 301], gradientCheckpointing: false },
  { family: 'qwen3', tie: true, method: 'full', dtype: 'fp32', rows: [500], gradientCheckpointing: 2 },
  { family: 'llama', tie: true, method: 'lora', dtype: 'bf16', rows: [700, 333, 61], gradientCheckpointing: false },
  { family: 'mistral', tie: false, method: 'lora', dtype: 'bf16', rows: [1999], gradientCheckpointing: true },
  { family: 'cohere', tie: true, method: 'lora', dtype: 'fp32', rows: [400, 99], gradientCheckpointing: false },
  { family: 'olmo2', tie: false, method: 'lora', dtype: 'bf16', rows: [777], gradientCheckpointing: 1 },
  { family: 'starcoder2', tie: true, method: 'lora', dtype: 'bf16', rows: [512, 511], gradientCheckpointing: false },
  { family: 'qwen2', tie: true, method: 'full', dtype: 'bf16', rows: [256, 256, 256, 256], gradientCheckpointing: false, optimizer: 'adamw_8bit' },
] as const

describe('estimated memory is what the engine takes', function () {
  this.timeout(120_000)
  for (const { family, tie, ...asked } of cases) {
    const { method, dtype, rows, gradientCheckpointing } = asked
    it(`${family}, ${method}, ${dtype}, rows of ${rows.join(', ')}, checkpointing ${String(gradientCheckpointing)}`, function () {
      // Other kernels serve bf16 where the CPU has no products of it; their scratch is LibTorch's own.
      if (dtype === 'bf16' && !diagnostics().bf16Native) this.skip()
      const model = temporaryFolder()
      writeFileSync(path.join(model, 'config.json'), JSON.stringify({ model_type: family, ...sizes, tie_word_embeddings: tie }))
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', child, JSON.stringify({ optimizer: 'adamw', ...asked, model })], { encoding: 'utf8' })
      expect(status, stderr).to.equal(0)
      const { measured, estimated } = JSON.parse(stdout) as { measured: number; estimated: number }
      expect(estimated / measured).to.be.within(0.97, 1.05)
    })
  }
})
