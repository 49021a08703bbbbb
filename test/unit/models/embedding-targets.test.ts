// Adapters of the embedding and of an output head that shares its weight: targets, ensure_weight_tying and saved base weights, in the cases of
// PEFT 0.21 (tuners/lora/model.py, utils/save_and_load.py).
import { expect } from 'chai'
import { caught } from '../support/caught.js'
import { loraParameters, loraShapes, loraTargets, partsHead, resolveOn, withLoraDefaults, type LoraOptions } from '../../../lib/models/lora.js'
import { savedBaseLayers } from '../../../lib/models/peft/base-layers.js'
import type { ModuleSource } from '../../../lib/models/target-modules.js'

const linear = (name: string, outFeatures = 8) => ({ name, inFeatures: 8, outFeatures, bias: false, transposed: false })
const embedding = { name: 'model.embed_tokens', kind: 'embedding', inFeatures: 100, outFeatures: 8 } as const
const tiedHead = { name: 'lm_head', kind: 'head', inFeatures: 8, outFeatures: 100 } as const
const layers = [linear('model.layers.0.self_attn.q_proj'), linear('model.layers.0.self_attn.v_proj', 4)]
const tied: ModuleSource = { linearModules: layers, embeddingModules: [embedding, tiedHead], outputHead: 'lm_head' }
const untied: ModuleSource = { linearModules: [...layers, linear('lm_head', 100)], embeddingModules: [embedding], outputHead: 'lm_head' }

const targetsOf = (source: ModuleSource, options: LoraOptions) => loraTargets(source, withLoraDefaults({ r: 4, loraAlpha: 8, ...options }))
const namesOf = (source: ModuleSource, options: LoraOptions) => targetsOf(source, options).map(({ module }) => module)
const writtenOf = (source: ModuleSource, options: LoraOptions) => resolveOn(source, withLoraDefaults(options)).targetModules

describe('embedding and output head as targets', () => {
  it('are named like linear modules, tied or not; all-linear leaves both out', () => {
    for (const source of [tied, untied]) {
      expect(namesOf(source, { targetModules: ['lm_head', 'embed_tokens', 'q_proj'] })).to.deep.equal(['model.embed_tokens', 'model.layers.0.self_attn.q_proj', 'lm_head'])
      expect(namesOf(source, { targetModules: '.*(embed_tokens|lm_head)' })).to.deep.equal(['model.embed_tokens', 'lm_head'])
      expect(namesOf(source, {})).to.deep.equal(layers.map(({ name }) => name))
      expect(namesOf(source, { targetModules: ['embed_tokens', 'q_proj'], excludeModules: ['embed_tokens'] })).to.deep.equal(['model.layers.0.self_attn.q_proj'])
    }
  })

  it('each has matrices of its own; PEFT’s names and shapes', () => {
    const targets = targetsOf(tied, { targetModules: ['embed_tokens', 'lm_head'] })
    expect(targets.some((target) => target.tied)).to.equal(false)
    expect(loraShapes(tied, targets)).to.deep.equal([
      { name: 'base_model.model.model.embed_tokens.lora_embedding_A', shape: [4, 100] }, { name: 'base_model.model.model.embed_tokens.lora_embedding_B', shape: [8, 4] },
      { name: 'base_model.model.lm_head.lora_A.weight', shape: [4, 8] }, { name: 'base_model.model.lm_head.lora_B.weight', shape: [100, 4] },
    ])
    expect(loraParameters(tied, targets)).to.equal(2 * 4 * 108)
    expect(partsHead(tied, targets)).to.equal(true)
    expect(partsHead(untied, targets)).to.equal(false)
    expect(partsHead(tied, targetsOf(tied, { targetModules: ['q_proj'] }))).to.equal(false)
  })
})

describe('ensure_weight_tying', () => {
  it('gives the embedding the adapter and the head the same one, whichever is named', () => {
    for (const targetModules of [['embed_tokens', 'q_proj'], ['lm_head', 'q_proj'], ['embed_tokens', 'lm_head', 'q_proj'], 'lm_head|.*q_proj', '.*(embed_tokens|q_proj)']) {
      const targets = targetsOf(tied, { targetModules, ensureWeightTying: true })
      expect(targets.map(({ module, tied: isTied }) => [module, isTied === true]), String(targetModules)).to.deep.equal([
        ['model.embed_tokens', false], ['model.layers.0.self_attn.q_proj', false], ['lm_head', true],
      ])
      expect(loraParameters(tied, targets)).to.equal(4 * 108 + 4 * 16)
      expect(loraShapes(tied, targets)).to.have.length(6)
      expect(partsHead(tied, targets)).to.equal(false)
    }
  })

  it('is written as PEFT writes it, and stays as it is', () => {
    expect(writtenOf(tied, { targetModules: ['lm_head', 'q_proj'], ensureWeightTying: true })).to.deep.equal(['q_proj', 'model.embed_tokens'])
    expect(writtenOf(tied, { targetModules: ['embed_tokens', 'lm_head'], ensureWeightTying: true })).to.deep.equal(['embed_tokens', 'model.embed_tokens'])
    const pattern = writtenOf(tied, { targetModules: '.*(lm_head|v_proj)', ensureWeightTying: true })
    expect(pattern).to.equal('(?:.*(lm_head|v_proj)|^model\\.embed_tokens$)')
    expect(writtenOf(tied, { targetModules: pattern, ensureWeightTying: true })).to.equal(pattern)
    expect(namesOf(tied, { targetModules: pattern, ensureWeightTying: true })).to.deep.equal(['model.embed_tokens', 'model.layers.0.self_attn.v_proj', 'lm_head'])
  })

  it('asked for in vain it is refused, but for adapter files, which PEFT reads all the same', () => {
    for (const [source, targetModules] of [[untied, ['lm_head']], [tied, ['q_proj']]] as const) {
      const options = withLoraDefaults({ targetModules, ensureWeightTying: true })
      expect(caught(() => loraTargets(source, options)).code).to.equal('FT_INCOMPATIBLE_CONFIG')
      expect(loraTargets(source, options, { strict: false })).to.have.length(1)
    }
    expect(caught(() => targetsOf(tied, { targetModules: ['embed_tokens'], rankPattern: { lm_head: 2 }, ensureWeightTying: true })).code).to.equal('FT_INCOMPATIBLE_CONFIG')
    expect(caught(() => targetsOf(tied, { targetModules: ['lm_head', 'q_proj'], excludeModules: ['embed_tokens'], ensureWeightTying: true })).code).to.equal('FT_INCOMPATIBLE_CONFIG')
  })
})

describe('base weights that are saved beside an adapter', () => {
  const saved = (source: ModuleSource, targetModules: string | readonly string[], written = targetModules) => savedBaseLayers(source, namesOf(source, { targetModules }), written)

  it('are those of adapted embedding and head, where target_modules says embed_tokens or lm_head', () => {
    expect(saved(tied, ['embed_tokens', 'q_proj'])).to.deep.equal(['model.embed_tokens'])
    expect(saved(untied, ['lm_head'])).to.deep.equal(['lm_head'])
    expect(saved(untied, ['embed_tokens', 'lm_head'])).to.deep.equal(['model.embed_tokens', 'lm_head'])
    expect(saved(tied, '.*(embed_tokens|lm_head)')).to.deep.equal(['model.embed_tokens', 'lm_head'])
    expect(saved(untied, ['q_proj'])).to.deep.equal([])
    expect(saved(untied, '.*q_proj')).to.deep.equal([])
    expect(saved(tied, ['model.embed_tokens', 'q_proj'])).to.deep.equal([]) // PEFT looks for the bare names in a list
  })

  it('are none where the embedding goes by another name', () => {
    const gpt: ModuleSource = { linearModules: layers, embeddingModules: [{ ...embedding, name: 'transformer.wte' }, tiedHead], outputHead: 'lm_head' }
    expect(saved(gpt, ['wte', 'q_proj'])).to.deep.equal([])
    expect(saved(gpt, ['wte', 'lm_head'])).to.deep.equal(['transformer.wte', 'lm_head'])
  })
})
