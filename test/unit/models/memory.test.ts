// The estimate of memory as arithmetic on sizes. That it is what the engine takes: test/binding/memory.test.ts.
import { expect } from 'chai'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { estimateMemory, memoryOf, memoryRequest, type EstimateOptions, type MemoryEstimate, type MemoryRequest } from '../../../lib/models/index.js'
import { rejected } from '../support/caught.js'

const config = {
  model_type: 'llama', vocab_size: 1000, hidden_size: 64, intermediate_size: 172, num_hidden_layers: 3, num_attention_heads: 4, num_key_value_heads: 2,
  max_position_embeddings: 4096, tie_word_embeddings: false,
}
// Per layer: q 64·64, k and v 64·32, o 64·64, gate, up and down 64·172, two norms; embedding, final norm, head.
const linear = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 172
const parameters = 3 * (linear + 128) + 64 + 2 * 64_000
const adapter = 3 * 8 * (4 * 64 + 2 * 96 + 3 * 236)

describe('estimate of memory', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'ft-memory-'))
    writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))
  const build = { bf16Native: true, threads: 2, devices: [] }
  const request = (options: Partial<EstimateOptions> = {}): Promise<MemoryRequest> =>
    memoryRequest({ name: folder, init: 'random', device: 'cpu', dtype: 'bf16', lora: { r: 8 }, batchSize: 2, maxSeqLength: 100, ...options }, build)
  const estimate = async (options: Partial<EstimateOptions> = {}): Promise<MemoryEstimate> => memoryOf(await request(options))

  it('weights, masters, gradients and moments by dtype, method and optimizer', async () => {
    const state = ({ weightBytes, masterBytes, gradientBytes, optimizerBytes }: MemoryEstimate) => [weightBytes, masterBytes, gradientBytes, optimizerBytes]
    expect(state(await estimate())).to.deep.equal([2 * parameters, 6 * adapter, 4 * adapter, 8 * adapter])
    expect(state(await estimate({ dtype: 'fp32' }))).to.deep.equal([4 * parameters, 4 * adapter, 4 * adapter, 8 * adapter])
    expect(state(await estimate({ method: 'full' }))).to.deep.equal([2 * parameters, 4 * parameters, 2 * parameters, 8 * parameters])
    expect(state(await estimate({ method: 'full', dtype: 'fp32' }))).to.deep.equal([4 * parameters, 0, 4 * parameters, 8 * parameters])
    const { optimizerBytes } = await estimate({ method: 'full', optimizer: 'adamw_8bit' })
    expect(optimizerBytes).to.be.within(2.03 * parameters, 2.4 * parameters)
  })

  it('activations: what layers keep, less for layers that are computed again', async () => {
    const tokens = 200
    // Input, q k v, attention, middle, gate and up, products with A (r 8, seven modules); statistics of two norms and of each head.
    const layer = tokens * (2 * (64 + 128 + 64 + 64 + 344 + 56) + 4 * (2 + 4))
    const tables = tokens * (2 * 4 * 8 + 40)
    expect((await estimate()).activationBytes).to.equal(3 * layer + tables)
    expect((await estimate({ gradientCheckpointing: true })).activationBytes).to.equal(3 * tokens * 128 + tables)
    expect((await estimate({ gradientCheckpointing: 2 })).activationBytes).to.equal(layer + 2 * tokens * 128 + tables)
    expect((await estimate({ gradientCheckpointing: 99 })).checkpointedLayers).to.equal(3)
    const totals = await Promise.all([0, 1, 2].map(async (gradientCheckpointing) => (await estimate({ gradientCheckpointing })).totalBytes))
    expect(totals).to.deep.equal([...totals].sort((a, b) => b - a))
  })

  it('experts: rows of each that a token passes, one normed input for all; gaps and copies of their own', async () => {
    const experts = { model_type: 'mixtral', num_local_experts: 5, num_experts_per_tok: 2, intermediate_size: 48 }
    const other = mkdtempSync(path.join(os.tmpdir(), 'ft-memory-'))
    writeFileSync(path.join(other, 'config.json'), JSON.stringify({ ...config, ...experts }))
    const options = { name: other, lora: { r: 8, targetModules: ['q_proj'], targetParameters: ['mlp.experts.down_proj'] } }
    const made = await estimate(options)
    // Three streams, q k v, attention, gate and up of two experts, products with A; two norms and four heads, logits, two experts.
    const layer = 200 * (2 * (3 * 64 + 128 + 64 + 2 * 96 + 8 + 2 * 8) + 4 * (2 + 4) + 4 * 5 + 20 * 2)
    expect(made.activationBytes).to.equal(3 * layer + 200 * (2 * 4 * 8 + 40))
    expect(made.weightBytes).to.equal(2 * (3 * (64 * 64 * 2 + 2 * 64 * 32 + 5 * 64 + 5 * 3 * 64 * 48 + 128) + 64 + 2 * 64_000))
    expect(made.masterBytes).to.equal(6 * 3 * 8 * (128 + 5 * (64 + 48)))
    // One region holds the blocks of all layers; B of down_proj is [64, 8 · 5].
    const { fragmentationBytes } = await estimate({ ...options, lora: { r: 8, targetModules: ['q_proj'] } })
    expect(made.fragmentationBytes - fragmentationBytes).to.equal(3 * 4 * 64 * 8 * 5)
    expect((await estimate({ ...options, method: 'qlora' })).weightBytes).to.be.below(0.6 * made.weightBytes)
    rmSync(other, { recursive: true })
  })

  it('latent attention: what queries, keys and values are made of', async () => {
    const latent = {
      model_type: 'deepseek_v3', num_key_value_heads: 4, q_lora_rank: 24, kv_lora_rank: 20, qk_nope_head_dim: 12, qk_rope_head_dim: 8, v_head_dim: 16, n_routed_experts: 4, num_experts_per_tok: 2,
      moe_intermediate_size: 48, n_shared_experts: 1, first_k_dense_replace: 3, n_group: 1, topk_group: 1,
    }
    const other = mkdtempSync(path.join(os.tmpdir(), 'ft-memory-'))
    writeFileSync(path.join(other, 'config.json'), JSON.stringify({ ...config, ...latent }))
    const made = await estimate({ name: other, lora: { r: 8, targetModules: ['o_proj'] } })
    // Latents 24 and 20 + 8, queries 4 · 20, keys and values 4 · (12 + 16); attention's values 4 · 16 and the kernel's result 4 · 20.
    const layer = 200 * (2 * (2 * 64 + 24 + 28 + 80 + 112 + 64 + 80 + 344 + 8) + 4 * (2 + 4))
    expect(made.activationBytes).to.equal(3 * layer + 200 * (2 * 4 * 4 + 40))
    rmSync(other, { recursive: true })
  })

  it('a longer row costs no more than its tokens, but where all scores exist', async () => {
    const total = async (rows: number[], attention?: 'eager') => (await estimate({ rows, dtype: 'fp32', ...(attention === undefined ? {} : { attention }) })).totalBytes
    expect(await total([1600])).to.be.closeTo(await total(Array<number>(16).fill(100)), 200_000)
    expect(await total([1600], 'eager')).to.be.greaterThan((await total([1600])) + 4 * 1600 * 1600 * 4)
  })

  it('counts all of it, and the moment when most is alive', async () => {
    const { totalBytes, weightBytes, masterBytes, gradientBytes, optimizerBytes, activationBytes, lossBytes, workspaceBytes, fragmentationBytes, runtimeBytes } = await estimate()
    expect(totalBytes).to.equal(weightBytes + masterBytes + gradientBytes + optimizerBytes + activationBytes + Math.max(lossBytes, workspaceBytes) + fragmentationBytes + runtimeBytes)
    writeFileSync(path.join(folder, 'tokenizer.json'), ' '.repeat(1_000_000))
    expect((await estimate()).runtimeBytes).to.be.greaterThan(runtimeBytes + 1_000_000)
    rmSync(path.join(folder, 'tokenizer.json'))
  })

  it('leaves the matrices of offloaded layers to the CPU, but one on a visit; on the CPU nothing', async () => {
    const gpu = { ...(await request()), device: 'cuda:0' }
    const [none, two, all] = [0, 2, 9].map((offloadedLayers) => memoryOf({ ...gpu, offloadedLayers })) as [MemoryEstimate, MemoryEstimate, MemoryEstimate]
    expect([none.offloadedBytes, two.offloadedBytes, all.offloadedBytes]).to.deep.equal([0, 2 * 2 * linear, 3 * 2 * linear])
    expect(all.offloadedLayers).to.equal(3)
    expect(two.weightBytes).to.equal(none.weightBytes - 2 * 2 * linear + 2 * 64 * 172)
    expect(none.totalBytes - two.totalBytes).to.equal(none.weightBytes - two.weightBytes)
    expect(memoryOf({ ...gpu, device: 'cpu', offloadedLayers: 2 })).to.deep.equal(memoryOf({ ...gpu, device: 'cpu' }))
  })

  it('says what it cannot estimate', async () => {
    expect(await rejected(estimateMemory({ name: folder, init: 'random', rows: [] }))).to.include({ code: 'FT_INVALID_ARGUMENT' })
    expect(await rejected(estimateMemory({ name: folder, init: 'random', batchSize: 1.5 }))).to.include({ code: 'FT_INVALID_ARGUMENT' })
    expect(await rejected(estimateMemory({ name: folder, init: 'random', lora: { targetModules: ['nope'] } }))).to.include({ code: 'FT_UNKNOWN_TARGET_MODULE' })
    expect(await rejected(estimateMemory({ name: path.join(folder, 'none') }))).to.include({ code: 'FT_MODEL_NOT_FOUND' })
    expect(await rejected(estimateMemory({ name: folder, batch_size: 4 } as never))).to.include({ code: 'FT_INVALID_ARGUMENT' })
  })
})
