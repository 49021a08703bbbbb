// Which modules an adapter attaches to: the cases of PEFT's check_target_module_exists and get_pattern_key.
import { expect } from 'chai'
import { caught } from '../support/caught.js'
import { loraParameters, loraTargets, withLoraDefaults } from '../../../lib/models/lora.js'
import { TargetModuleDetector, type ModuleSource } from '../../../lib/models/target-modules.js'

const perLayer = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj', 'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj']
const layers = 12
const source: ModuleSource = {
  modelType: 'llama',
  linearModules: [
    ...Array.from({ length: layers }, (_, layer) => perLayer.map((name) => ({ name: `model.layers.${layer}.${name}`, inFeatures: 8, outFeatures: name.includes('mlp') ? 24 : 8 }))).flat(),
    { name: 'lm_head', inFeatures: 8, outFeatures: 100 },
  ],
}
const detector = new TargetModuleDetector(source)
const every = (name: string): string[] => Array.from({ length: layers }, (_, layer) => `model.layers.${layer}.${name}`)

describe('target modules', () => {
  it('all-linear is everything but the output head, in any case and as a list', () => {
    for (const targets of ['all-linear', 'ALL-linear', ['all-linear']] as const) {
      expect(detector.resolve(targets)).to.have.length(7 * layers).and.not.include('lm_head')
    }
    expect(detector.allLinear()).to.deep.equal(detector.resolve('all-linear'))
  })

  it('a list matches whole names and what follows a dot', () => {
    expect(detector.resolve(['q_proj'])).to.deep.equal(every('self_attn.q_proj'))
    expect(detector.resolve(['self_attn.q_proj', 'lm_head'])).to.deep.equal([...every('self_attn.q_proj'), 'lm_head'])
    expect(detector.resolve(['model.layers.3.mlp.up_proj'])).to.deep.equal(['model.layers.3.mlp.up_proj'])
    expect(detector.resolve(['3.mlp.up_proj'])).to.deep.equal(['model.layers.3.mlp.up_proj'])
  })

  it('results are in module order, each once', () => {
    expect(detector.resolve(['v_proj', 'q_proj', 'self_attn.q_proj']).slice(0, 2)).to.deep.equal(['model.layers.0.self_attn.q_proj', 'model.layers.0.self_attn.v_proj'])
    expect(detector.resolve(['v_proj', 'q_proj', 'self_attn.q_proj'])).to.have.length(2 * layers)
  })

  it('a string is a regular expression for the whole name', () => {
    expect(detector.resolve('.*\\.q_proj')).to.deep.equal(every('self_attn.q_proj'))
    expect(detector.resolve('.*\\.(?:0|1)\\.self_attn\\.(?P<which>q|v)_proj')).to.have.length(4)
    expect(detector.resolve('model.layers.1.mlp.up_proj')).to.deep.equal(['model.layers.1.mlp.up_proj'])
    expect(detector.resolve('.*q_proj\\Z')).to.deep.equal(every('self_attn.q_proj'))
    expect(caught(() => detector.resolve('q_proj')).code).to.equal('FT_UNKNOWN_TARGET_MODULE')
  })

  it('patterns run in linear time, and those that cannot are refused', () => {
    expect(caught(() => detector.resolve('(a+)+$')).code).to.equal('FT_UNKNOWN_TARGET_MODULE')
    for (const pattern of ['(?=x).*', '(?<!x)y', '(a)\\1', '(', '[', '*', 'a{1,100000}', 'x'.repeat(20_000)]) {
      const error = caught(() => detector.resolve(pattern))
      expect(error.code, pattern.slice(0, 20)).to.equal('FT_INVALID_CONFIG')
      expect(error.remedy).to.not.equal('')
    }
  })

  it('a name that does not exist is an error with what exists and a suggestion', () => {
    const error = caught(() => detector.resolve(['q_proj', 'qproj']))
    expect(error.code).to.equal('FT_UNKNOWN_TARGET_MODULE')
    expect(error.message).to.contain('"qproj"').and.contain('did you mean "q_proj"?')
    expect(error.remedy).to.contain('gate_proj')
    expect(error.details.available).to.deep.equal(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj', 'lm_head'])
    expect(caught(() => detector.resolve(['proj'])).code).to.equal('FT_UNKNOWN_TARGET_MODULE')
    expect(caught(() => detector.resolve(['_proj'])).code).to.equal('FT_UNKNOWN_TARGET_MODULE')
    expect(detector.resolve(['q_proj', 'qproj'], { strict: false })).to.deep.equal(every('self_attn.q_proj'))
    expect(caught(() => detector.resolve(['nothing'], { strict: false })).code).to.equal('FT_UNKNOWN_TARGET_MODULE')
  })

  it('excluded modules win', () => {
    expect(detector.resolve(['q_proj', 'v_proj'], { excludeModules: ['v_proj'] })).to.deep.equal(every('self_attn.q_proj'))
    expect(detector.resolve('all-linear', { excludeModules: '.*mlp.*' })).to.have.length(4 * layers)
    expect(caught(() => detector.resolve(['q_proj'], { excludeModules: ['q_proj'] })).code).to.equal('FT_UNKNOWN_TARGET_MODULE')
  })

  it('layers_to_transform takes the layer number, not part of it', () => {
    expect(detector.resolve(['q_proj'], { layersToTransform: 1 })).to.deep.equal(['model.layers.1.self_attn.q_proj'])
    expect(detector.resolve(['q_proj'], { layersToTransform: [0, 11] })).to.deep.equal(['model.layers.0.self_attn.q_proj', 'model.layers.11.self_attn.q_proj'])
    expect(detector.resolve(['q_proj'], { layersToTransform: [2], layersPattern: 'layers' })).to.deep.equal(['model.layers.2.self_attn.q_proj'])
    expect(detector.resolve(['q_proj'], { layersToTransform: [2], layersPattern: ['h', 'layers'] })).to.deep.equal(['model.layers.2.self_attn.q_proj'])
    expect(caught(() => detector.resolve(['q_proj'], { layersToTransform: [2], layersPattern: 'h' })).code).to.equal('FT_UNKNOWN_TARGET_MODULE')
    expect(detector.resolve(['q_proj', 'lm_head'], { layersToTransform: [2] })).to.deep.equal(['model.layers.2.self_attn.q_proj', 'lm_head'])
  })

  it('the shortest list names the same modules', () => {
    expect(detector.shortest(detector.allLinear())).to.deep.equal(['down_proj', 'gate_proj', 'k_proj', 'o_proj', 'q_proj', 'up_proj', 'v_proj'])
    const some = ['model.layers.0.self_attn.q_proj', 'model.layers.2.self_attn.q_proj']
    expect(detector.shortest(some)).to.deep.equal(some)
    expect(detector.resolve(detector.shortest(some))).to.deep.equal(some)
    // Other parts of a larger model may have modules with the same last names.
    expect(new TargetModuleDetector({ ...source, textPartOf: 'llava' }).shortest(every('mlp.up_proj'))).to.deep.equal([...every('mlp.up_proj')].sort())
  })
})

describe('LoRA targets', () => {
  const targets = (options: Parameters<typeof withLoraDefaults>[0]) => loraTargets(source, withLoraDefaults(options))

  it('scale is alpha / r, or alpha / √r with rslora', () => {
    expect(targets({ r: 4, loraAlpha: 6, targetModules: ['q_proj'] })[0]).to.deep.equal({ module: 'model.layers.0.self_attn.q_proj', r: 4, scale: 1.5 })
    expect(targets({ r: 4, loraAlpha: 6, targetModules: ['q_proj'], useRslora: true })[0]?.scale).to.equal(3)
  })

  it('patterns match the end of a name behind a dot, the first one wins', () => {
    const found = targets({
      r: 8, loraAlpha: 8, targetModules: 'all-linear',
      rankPattern: { '^model.layers.0.self_attn.q_proj': 2, q_proj: 4, 'layers\\.\\d\\.mlp\\.up_proj': 16, proj: 64 },
      alphaPattern: { q_proj: 12 },
    })
    const of = (name: string) => found.find((target) => target.module === name)
    expect(of('model.layers.0.self_attn.q_proj')).to.deep.equal({ module: 'model.layers.0.self_attn.q_proj', r: 2, scale: 6 })
    expect(of('model.layers.1.self_attn.q_proj')).to.deep.equal({ module: 'model.layers.1.self_attn.q_proj', r: 4, scale: 3 })
    expect(of('model.layers.1.self_attn.v_proj')?.r).to.equal(8)
    expect(of('model.layers.9.mlp.up_proj')?.r).to.equal(16)
    expect(of('model.layers.10.mlp.up_proj')?.r).to.equal(8)
  })

  it('counts r · (in + out) parameters', () => {
    expect(loraParameters(source, targets({ r: 2, targetModules: ['q_proj', 'up_proj'] }))).to.equal(layers * 2 * (16 + 32))
  })

  it('refuses ranks, alphas and dropouts that are none', () => {
    for (const options of [{ r: 0 }, { r: -1 }, { r: 1.5 }, { r: NaN }, { loraAlpha: NaN }, { loraAlpha: Infinity }, { loraDropout: 1 }, { loraDropout: -0.1 }, { rankPattern: { q_proj: 0 } }, { alphaPattern: { q_proj: NaN } }]) {
      expect(caught(() => withLoraDefaults(options)).code, JSON.stringify(options)).to.equal('FT_INVALID_ARGUMENT')
    }
  })
})
