// Adapters of the embedding and of an output head, tied or not, as PEFT has them: modules, logits, gradients, files both ways, merging.
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { createOptimizer, loadModel, mergeAdapter, type LoraOptions } from '../../lib/models/index.js'
import { difference } from '../parity/golden.js'
import { readSafetensors } from '../parity/safetensors.js'
import { rowBatch } from '../parity/subject.js'
import { reference, referenceLogits, scratchFolder } from './shared.js'

const tolerance = 1e-5
const vocabulary = 61

const llama = { model_type: 'llama', vocab_size: vocabulary, hidden_size: 30, intermediate_size: 37, num_hidden_layers: 2, num_attention_heads: 5, num_key_value_heads: 1, head_dim: 8, max_position_embeddings: 64 }
const bases = {
  untied: { ...llama, tie_word_embeddings: false },
  tied: { ...llama, tie_word_embeddings: true },
  // The embedding is scaled, here and in the head's module names.
  scaled: { ...llama, model_type: 'gemma', tie_word_embeddings: true },
  conv: { model_type: 'gpt2', vocab_size: vocabulary, n_embd: 30, n_layer: 2, n_head: 5, n_positions: 64 },
} as const

interface Case { base: keyof typeof bases; name: string; lora: Record<string, unknown>; options: LoraOptions; apart?: boolean }
const both = (lora: { r: number; lora_alpha: number; target_modules: string | string[]; ensure_weight_tying?: boolean }): Pick<Case, 'lora' | 'options'> => ({
  lora, options: { r: lora.r, loraAlpha: lora.lora_alpha, targetModules: lora.target_modules, ensureWeightTying: lora.ensure_weight_tying },
})
// apart: the head gets a weight of its own when it is merged, where PEFT would change one that both read.
const cases: Case[] = [
  { base: 'untied', name: 'the embedding', ...both({ r: 3, lora_alpha: 6, target_modules: ['embed_tokens', 'q_proj'] }) },
  { base: 'untied', name: 'embedding and head', ...both({ r: 4, lora_alpha: 5, target_modules: ['embed_tokens', 'lm_head'] }) },
  { base: 'untied', name: 'a pattern', ...both({ r: 2, lora_alpha: 4, target_modules: '.*(embed_tokens|lm_head|v_proj)' }) },
  { base: 'tied', name: 'the embedding', apart: true, ...both({ r: 3, lora_alpha: 6, target_modules: ['embed_tokens', 'o_proj'] }) },
  { base: 'tied', name: 'the head', apart: true, ...both({ r: 3, lora_alpha: 6, target_modules: ['lm_head', 'up_proj'] }) },
  { base: 'tied', name: 'embedding and head, each its own', apart: true, ...both({ r: 3, lora_alpha: 6, target_modules: ['embed_tokens', 'lm_head'] }) },
  { base: 'tied', name: 'the embedding, tied', ...both({ r: 3, lora_alpha: 7, target_modules: ['embed_tokens', 'q_proj'], ensure_weight_tying: true }) },
  { base: 'tied', name: 'the head, tied', ...both({ r: 3, lora_alpha: 7, target_modules: ['lm_head', 'q_proj'], ensure_weight_tying: true }) },
  { base: 'tied', name: 'a pattern, tied', ...both({ r: 3, lora_alpha: 7, target_modules: '.*(lm_head|v_proj)', ensure_weight_tying: true }) },
  { base: 'scaled', name: 'a scaled embedding, tied', ...both({ r: 4, lora_alpha: 7, target_modules: ['embed_tokens', 'lm_head'], ensure_weight_tying: true }) },
  { base: 'conv', name: 'an embedding of another name', apart: true, ...both({ r: 4, lora_alpha: 7, target_modules: ['wte', 'c_attn'] }) },
]

const rows = [[3, 17, 60, 3, 3, 41, 8, 22, 9], [5, 1, 33], [59, 2, 2, 58, 12, 7]]
const trained = rows.map((row) => ({ input_ids: row, labels: row.map((token, i) => (i === 2 ? -100 : token)) }))

const made = new Map<string, Promise<string>>()
function baseFolder(base: Case['base']): Promise<string> {
  let folder = made.get(base)
  if (folder === undefined) {
    const target = scratchFolder(`embeddings-${base}`)
    folder = reference().call('make_bare_model', { folder: target, config: bases[base], seed: 19 }).then(() => target)
    made.set(base, folder)
  }
  return folder
}

describe('adapters of embeddings and output heads', function () {
  this.timeout(120_000)

  for (const { base, name, lora, options, apart = false } of cases) {
    describe(`${base}: ${name}`, () => {
      it("PEFT's adapter: modules, logits, gradients; the same file comes out", async () => {
        const folder = scratchFolder(`embeddings-${base}-${name.replaceAll(/\W/g, '-')}`)
        const model = await baseFolder(base)
        await reference().call('make_adapter', { model, folder, lora, seed: 4, embeddings: 'auto' })
        await using subject = await loadModel({ name: model, dtype: 'fp32', device: 'cpu', threads: 1 })
        const fresh = await subject.addAdapter(options)
        const { modules } = await reference().call('lora_targets', { model, lora })
        expect(Object.fromEntries(fresh.targets.map(({ module, r, scale }) => [module, { r, scale }]))).to.deep.equal(modules)
        await fresh.dispose()

        const adapter = await subject.loadAdapter(folder)
        const theirs = await referenceLogits(model, rows, folder)
        for (const [i, row] of rows.entries()) expect(difference((await subject.forward([row])).logits, theirs[i] ?? []), `row ${i}`).to.be.below(tolerance)
        await compareGradients()
        const again = `${folder}-again`
        await adapter.save(again)
        compareFiles(folder, again)

        async function compareGradients(): Promise<void> {
          const output = scratchFolder(`embeddings-gradients-${Math.random().toString(36).slice(2)}`)
          const loss = await reference().call('gradients', { model, adapter: folder, rows: trained, output })
          await using optimizer = await createOptimizer(subject, { learningRate: 0 })
          const here = await optimizer.accumulate([rowBatch(trained)])
          expect(here.loss).to.be.closeTo(loss, 1e-5)
          const expected = tiedTogether(readSafetensors(output), fresh.targets.find(({ tied }) => tied)?.module)
          const gradients = await optimizer.gradients()
          expect(Object.keys(gradients).sort()).to.deep.equal([...expected.keys()].sort())
          for (const [tensor, { data }] of Object.entries(gradients)) expect(difference(data, expected.get(tensor) ?? []), tensor).to.be.below(tolerance)
        }
      })

      it('an adapter trained here has the same logits in PEFT, and merges to them', async () => {
        const folder = scratchFolder(`embeddings-ours-${base}-${name.replaceAll(/\W/g, '-')}`)
        const model = await baseFolder(base)
        const ours: Float32Array[] = []
        {
          await using subject = await loadModel({ name: model, dtype: 'fp32', device: 'cpu', threads: 1 })
          const adapter = await subject.addAdapter(options)
          const before = (await subject.forward([rows[0] ?? []])).logits
          await using optimizer = await createOptimizer(subject, { learningRate: 1e-2 })
          for (let step = 0; step < 4; step++) await optimizer.step([rows])
          await adapter.save(folder)
          for (const row of rows) ours.push((await subject.forward([row])).logits)
          expect(difference(ours[0] ?? [], before), 'training changed nothing').to.be.above(0.01)
        }
        const theirs = await referenceLogits(model, rows, folder)
        for (const [i, logits] of ours.entries()) expect(difference(logits, theirs[i] ?? []), `row ${i}`).to.be.below(tolerance)

        const merged = `${folder}-merged`
        await mergeAdapter({ model, adapter: folder, output: merged })
        const names = [...readSafetensors(path.join(merged, 'model.safetensors')).keys()]
        expect(names.filter((tensor) => tensor === 'lm_head.weight'), 'a head of its own').to.have.length(apart || base === 'untied' ? 1 : 0)
        const fromMerged = await referenceLogits(merged, rows)
        for (const [i, logits] of ours.entries()) expect(difference(fromMerged[i] ?? [], logits), `merged row ${i}`).to.be.below(tolerance)
        if (apart || options.ensureWeightTying === true) return // PEFT adds a tied pair's change twice to their one weight
        await reference().call('merge', { model, adapter: folder, folder: `${folder}-peft` })
        const [mine, expected] = [merged, `${folder}-peft`].map((place) => readSafetensors(path.join(place, 'model.safetensors')))
        expect([...mine?.keys() ?? []].sort()).to.deep.equal([...expected?.keys() ?? []].sort())
        for (const [tensor, { data }] of expected ?? []) expect(difference(mine?.get(tensor)?.data ?? [], data), tensor).to.be.below(tolerance)
      })
    })
  }
})

/** PEFT has two parameters in one memory for a tied pair, each with a gradient; here the pair has their sum. */
function tiedTogether(tensors: ReturnType<typeof readSafetensors>, head: string | undefined): Map<string, Float32Array> {
  const sums = new Map([...tensors].map(([name, { data }]) => [name, data]))
  if (head === undefined) return sums
  const of = (matrix: 'A' | 'B') => [...tensors.keys()].find((name) => name.endsWith(`.lora_embedding_${matrix}`)) ?? ''
  for (const [own, other] of [['A', 'B'], ['B', 'A']] as const) {
    const name = of(own)
    const added = tensors.get(`base_model.model.${head}.lora_${other}.weight`)
    const [height = 0, width = 0] = tensors.get(name)?.shape ?? []
    sums.set(name, Float32Array.from(sums.get(name) ?? [], (value, i) => value + (added?.data[(i % width) * height + Math.floor(i / width)] ?? NaN)))
    sums.delete(`base_model.model.${head}.lora_${other}.weight`)
  }
  return sums
}

/** Tensors bit for bit, frozen weights too, and every field of adapter_config.json. */
function compareFiles(peft: string, ours: string): void {
  const [expected, written] = [peft, ours].map((folder) => readSafetensors(path.join(folder, 'adapter_model.safetensors')))
  expect([...written?.keys() ?? []].sort()).to.deep.equal([...expected?.keys() ?? []].sort())
  for (const [name, { shape, data }] of expected ?? []) {
    expect(written?.get(name)?.shape, name).to.deep.equal(shape)
    expect(difference(written?.get(name)?.data ?? [], data), name).to.equal(0)
  }
  const config = (folder: string): Record<string, unknown> => {
    const fields = JSON.parse(fs.readFileSync(path.join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
    return { ...fields, base_model_name_or_path: '', target_modules: Array.isArray(fields.target_modules) ? [...fields.target_modules as string[]].sort() : fields.target_modules }
  }
  expect(config(ours)).to.deep.equal(config(peft))
}
