// Targets on models with experts: the cases of PEFT's conversion of configurations made for unfused experts
// (peft/utils/transformers_weight_conversion.py), with its names, ranks and refusals.
import { expect } from 'chai'
import { caught } from '../support/caught.js'
import { loraParameters, loraShapes, loraTargets, resolveOn, withLoraDefaults, type LoraOptions } from '../../../lib/models/lora.js'
import { TargetModuleDetector, type ModuleSource } from '../../../lib/models/target-modules.js'
import type { TargetableModule } from '../../../lib/models/peft/expert-targets.js'

const layer = (index: number): TargetableModule[] => [
  { name: `model.layers.${index}.self_attn.q_proj`, inFeatures: 8, outFeatures: 6 },
  { name: `model.layers.${index}.mlp.gate`, inFeatures: 8, outFeatures: 5, kind: 'router' },
  { name: `model.layers.${index}.mlp.experts.gate_up_proj`, inFeatures: 8, outFeatures: 14, kind: 'experts', experts: 5 },
  { name: `model.layers.${index}.mlp.experts.down_proj`, inFeatures: 7, outFeatures: 8, kind: 'experts', experts: 5 },
]
const linearModules = [...layer(0), ...layer(1), { name: 'lm_head', inFeatures: 8, outFeatures: 100 }]
const mixtral: ModuleSource = { linearModules, renamedTargets: { gate: 'gate.weight', w1: 'gate_up_proj', w3: 'gate_up_proj', w2: 'down_proj' } }
const plain: ModuleSource = { linearModules, renamedTargets: {} }

const targetsOf = (source: ModuleSource, options: LoraOptions) => loraTargets(source, withLoraDefaults({ r: 4, loraAlpha: 8, ...options }))
const optionsOf = (options: LoraOptions) => resolveOn(mixtral, withLoraDefaults({ r: 4, loraAlpha: 8, ...options }))

describe('targets on models with experts', () => {
  it('all-linear reaches router and experts where PEFT renames targets; gate and up together have both ranks', () => {
    const options = optionsOf({})
    expect(options.targetModules).to.deep.equal(['q_proj'])
    expect(options.targetParameters).to.deep.equal(['down_proj', 'gate.weight', 'gate_up_proj'])
    expect(options.rankPattern).to.deep.equal({ '.*\\.gate_up_proj': 8 })
    expect(options.alphaPattern).to.deep.equal({ '.*\\.gate_up_proj': 16 })
    const targets = targetsOf(mixtral, {})
    expect(targets.map(({ module }) => module)).to.have.members(linearModules.map(({ name }) => name).filter((name) => name !== 'lm_head'))
    expect(targets.find(({ module }) => module.endsWith('gate_up_proj'))).to.include({ r: 8, scale: 2 })
    expect(targets.find(({ module }) => module.endsWith('down_proj'))).to.include({ r: 4, scale: 2 })
    expect(new TargetModuleDetector(mixtral).allLinear()).to.have.members(targets.map(({ module }) => module))
  })

  it('a converted configuration stays as it is', () => {
    const once = optionsOf({})
    expect(resolveOn(mixtral, once)).to.deep.equal(once)
  })

  it('lists and patterns for single experts mean the fused parameters', () => {
    expect(optionsOf({ targetModules: ['q_proj', 'w2'] })).to.deep.include({ targetModules: ['q_proj'], targetParameters: ['down_proj'], rankPattern: {} })
    expect(optionsOf({ targetModules: ['w1', 'w3'] })).to.deep.include({ targetModules: [], targetParameters: ['gate_up_proj'] })
    const pattern = optionsOf({ targetModules: '.*\\.(w1|w3|gate)' })
    expect(pattern.targetParameters).to.deep.equal(['gate.weight', 'gate_up_proj'])
    expect(optionsOf({ targetModules: ['q_proj'] })).to.deep.include({ targetModules: ['q_proj'], targetParameters: [] })
    expect(targetsOf(mixtral, { targetModules: ['w2'] }).map(({ module }) => module)).to.deep.equal([0, 1].map((index) => `model.layers.${index}.mlp.experts.down_proj`))
  })

  it('gate without up is refused, as in PEFT', () => {
    expect(caught(() => optionsOf({ targetModules: ['w1'] })).code).to.equal('FT_UNKNOWN_TARGET_MODULE')
  })

  it('elsewhere all-linear is the linear modules, and parameters are named', () => {
    expect(targetsOf(plain, {}).map(({ module }) => module)).to.deep.equal([0, 1].map((index) => `model.layers.${index}.self_attn.q_proj`))
    const named = targetsOf(plain, { targetModules: ['q_proj'], targetParameters: ['1.mlp.experts.down_proj', 'gate.weight'], rankPattern: { 'mlp.gate.weight': 2 } })
    expect(named.map(({ module, r }) => [module, r])).to.deep.equal([
      ['model.layers.0.self_attn.q_proj', 4], ['model.layers.1.self_attn.q_proj', 4], ['model.layers.0.mlp.gate', 2], ['model.layers.1.mlp.gate', 2], ['model.layers.1.mlp.experts.down_proj', 4],
    ])
    expect(caught(() => targetsOf(plain, { targetParameters: ['mlp.experts.up_proj'] })).code).to.equal('FT_UNKNOWN_TARGET_MODULE')
    expect(caught(() => targetsOf(plain, { targetModules: ['gate'] })).code).to.equal('FT_UNKNOWN_TARGET_MODULE')
  })

  it('parameters have no dropout', () => {
    expect(caught(() => targetsOf(mixtral, { loraDropout: 0.1 })).code).to.equal('FT_INCOMPATIBLE_CONFIG')
    expect(targetsOf(mixtral, { loraDropout: 0.1, targetModules: ['q_proj'] })).to.have.length(2)
  })

  it('names, shapes and sizes are those of PEFT: the module is wrapped once a parameter', () => {
    const targets = targetsOf(mixtral, {})
    const shapes = new Map(loraShapes(mixtral, targets).map(({ name, shape }) => [name, shape]))
    const experts = 'base_model.model.model.layers.0.mlp.experts'
    expect(shapes.get(`${experts}.base_layer.lora_A.weight`)).to.deep.equal([40, 8])
    expect(shapes.get(`${experts}.base_layer.lora_B.weight`)).to.deep.equal([14, 40])
    expect(shapes.get(`${experts}.lora_A.weight`)).to.deep.equal([20, 7])
    expect(shapes.get(`${experts}.lora_B.weight`)).to.deep.equal([8, 20])
    expect(shapes.get('base_model.model.model.layers.1.mlp.gate.lora_B.weight')).to.deep.equal([5, 4])
    const total = [...shapes.values()].reduce((sum, [rows = 0, columns = 0]) => sum + rows * columns, 0)
    expect(loraParameters(mixtral, targets)).to.equal(total)
    const alone = loraShapes(mixtral, targetsOf(mixtral, { targetModules: ['w1', 'w3'] }))
    expect(alone[0]).to.deep.equal({ name: `${experts}.lora_A.weight`, shape: [40, 8] })
  })
})
