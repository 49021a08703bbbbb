// Adapters across the border, live: what ft-native trains loads in PEFT, what PEFT writes loads in ft-native, both
// resolve target modules alike, and both merge to the same weights.
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { createOptimizer, loadModel, mergeAdapter, type LoraOptions } from '../../lib/models/index.js'
import { difference } from '../parity/golden.js'
import { readSafetensors } from '../parity/safetensors.js'
import { families, familyModel, familyNames, reference, referenceLogits, scratchFolder, tokenRows } from './shared.js'

const TOLERANCE = 1e-5
const rows = tokenRows(4, 5)

/** LoRA configs as PEFT takes them, with the same for ft-native. */
const configs: { name: string; lora: Record<string, unknown>; options: LoraOptions }[] = [
  { name: 'all-linear', lora: { r: 4, lora_alpha: 8, target_modules: 'all-linear' }, options: { r: 4, loraAlpha: 8, targetModules: 'all-linear' } },
  { name: 'a list', lora: { r: 3, lora_alpha: 5, target_modules: ['q_proj', 'down_proj'] }, options: { r: 3, loraAlpha: 5, targetModules: ['q_proj', 'down_proj'] } },
  { name: 'whole names', lora: { r: 2, lora_alpha: 2, target_modules: ['model.layers.1.mlp.up_proj', 'layers.0.self_attn.o_proj'] },
    options: { r: 2, loraAlpha: 2, targetModules: ['model.layers.1.mlp.up_proj', 'layers.0.self_attn.o_proj'] } },
  { name: 'a regular expression', lora: { r: 4, lora_alpha: 8, target_modules: '.*layers\\.(0|2)\\.(self_attn\\.[kv]_proj|mlp\\..*_proj)' },
    options: { r: 4, loraAlpha: 8, targetModules: '.*layers\\.(0|2)\\.(self_attn\\.[kv]_proj|mlp\\..*_proj)' } },
  { name: 'rank and alpha patterns',
    lora: { r: 4, lora_alpha: 8, target_modules: 'all-linear', rank_pattern: { '^model.layers.1.mlp.up_proj': 7, q_proj: 2, 'layers.[02].mlp.*': 3 }, alpha_pattern: { v_proj: 16, 'mlp.gate_proj': 1 } },
    options: { r: 4, loraAlpha: 8, targetModules: 'all-linear', rankPattern: { '^model.layers.1.mlp.up_proj': 7, q_proj: 2, 'layers.[02].mlp.*': 3 }, alphaPattern: { v_proj: 16, 'mlp.gate_proj': 1 } } },
  { name: 'rslora', lora: { r: 5, lora_alpha: 4, target_modules: 'all-linear', use_rslora: true, rank_pattern: { k_proj: 2 } },
    options: { r: 5, loraAlpha: 4, targetModules: 'all-linear', useRslora: true, rankPattern: { k_proj: 2 } } },
  { name: 'some layers', lora: { r: 4, lora_alpha: 8, target_modules: ['v_proj', 'gate_proj'], layers_to_transform: [0, 2] },
    options: { r: 4, loraAlpha: 8, targetModules: ['v_proj', 'gate_proj'], layersToTransform: [0, 2] } },
]

/** Where head and embedding share no weights, the head can be adapted too. */
const headConfig = { name: 'the output head', lora: { r: 4, lora_alpha: 8, target_modules: ['lm_head', 'o_proj'] }, options: { r: 4, loraAlpha: 8, targetModules: ['lm_head', 'o_proj'] } }

describe('adapters between ft-native and PEFT', () => {
  for (const family of familyNames) {
    describe(family, () => {
      it('an adapter trained here has the same logits in PEFT', async () => {
        const folder = scratchFolder(`trained-${family}`)
        const ours: Float32Array[] = []
        await using model = await loadModel({ name: await familyModel(family), dtype: 'fp32', device: 'cpu', threads: 1 })
        const adapter = await model.addAdapter({ r: 4, loraAlpha: 16, rankPattern: { v_proj: 6 }, useRslora: true })
        const before = (await model.forward([rows[0] ?? []])).logits
        await using optimizer = await createOptimizer(model, { learningRate: 1e-2 })
        for (let step = 0; step < 6; step++) await optimizer.step([tokenRows(3, 7 + step)])
        await adapter.save(folder)
        for (const row of rows) ours.push((await model.forward([row])).logits)
        expect(difference(ours[0] ?? [], before), 'training changed nothing').to.be.above(0.01)
        const theirs = await referenceLogits(await familyModel(family), rows, folder)
        for (const [i, logits] of ours.entries()) expect(difference(logits, theirs[i] ?? []), `row ${i}`).to.be.below(TOLERANCE)
      })

      const untied = !('tie_word_embeddings' in families[family])
      for (const { name, lora, options } of untied ? [...configs, headConfig] : configs) {
        it(`${name}: the same modules, ranks and scales; PEFT's adapter has the same logits here; merged alike`, async () => {
          const base = await familyModel(family)
          const folder = scratchFolder(`peft-${family}-${name.replaceAll(' ', '-')}`)
          await reference().call('make_adapter', { model: base, folder, lora, seed: 3 })
          await using model = await loadModel({ name: base, dtype: 'fp32', device: 'cpu', threads: 1 })
          const fresh = await model.addAdapter(options)
          const expected = await reference().call('lora_targets', { model: base, lora })
          const resolved = Object.fromEntries(fresh.targets.map(({ module, r, scale }) => [module, { r, scale: Number(scale.toPrecision(12)) }]))
          expect(resolved).to.deep.equal(Object.fromEntries(Object.entries(expected.modules).map(([module, { r, scale }]) => [module, { r, scale: Number(scale.toPrecision(12)) }])))
          await compareConfig(fresh, expected.config)
          await fresh.dispose()

          await model.loadAdapter(folder)
          const theirs = await referenceLogits(base, rows, folder)
          for (const [i, row] of rows.entries()) {
            expect(difference((await model.forward([row])).logits, theirs[i] ?? []), `row ${i}`).to.be.below(TOLERANCE)
          }
          await compareMerged(base, folder)
        })
      }
    })
  }
})

/** What the two write into adapter_config.json. */
async function compareConfig(adapter: { save(folder: string): Promise<void> }, peft: Record<string, unknown>): Promise<void> {
  const folder = scratchFolder(`config-${Math.random().toString(36).slice(2)}`)
  await adapter.save(folder)
  const ours = JSON.parse(fs.readFileSync(path.join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
  const sorted = (value: unknown) => Array.isArray(value) ? [...value as string[]].sort() : value
  const differing = Object.keys({ ...peft, ...ours }).filter((key) => !['base_model_name_or_path', 'inference_mode', 'target_modules'].includes(key))
    .filter((key) => JSON.stringify(ours[key]) !== JSON.stringify(peft[key]))
  expect(differing, differing.map((key) => `${key}: ${JSON.stringify(ours[key])}, PEFT ${JSON.stringify(peft[key])}`).join('; ')).to.deep.equal([])
  expect(sorted(ours.target_modules)).to.deep.equal(sorted(peft.target_modules))
  expect(ours.inference_mode).to.equal(true)
}

async function compareMerged(base: string, adapter: string): Promise<void> {
  const [ours, theirs] = [`${adapter}-merged-ft`, `${adapter}-merged-peft`]
  await mergeAdapter({ model: base, adapter, output: ours })
  await reference().call('merge', { model: base, adapter, folder: theirs })
  const [mine, expected] = [ours, theirs].map((folder) => readSafetensors(path.join(folder, 'model.safetensors')))
  if (mine === undefined || expected === undefined) throw new Error('no merged weights')
  expect([...mine.keys()].sort()).to.deep.equal([...expected.keys()].sort())
  for (const [name, tensor] of expected) expect(difference(mine.get(name)?.data ?? [], tensor.data), name).to.be.below(TOLERANCE)
  const [fromOurs, fromTheirs] = [await referenceLogits(ours, rows), await referenceLogits(theirs, rows)]
  for (const [i, logits] of fromTheirs.entries()) expect(difference(fromOurs[i] ?? [], logits), `merged row ${i}`).to.be.below(TOLERANCE)
}
