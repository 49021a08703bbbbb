// adapter_config.json: what PEFT writes is read, what would change the numbers is refused by name, and what is
// written has exactly PEFT's fields in PEFT's order.
import { expect } from 'chai'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { FineTuneError } from '../../../lib/core/errors/index.js'
import { withLoraDefaults } from '../../../lib/models/lora.js'
import { adapterConfigText, parseAdapterConfig, readAdapterConfig } from '../../../lib/models/peft/config.js'

const golden = fileURLToPath(new URL('../../fixtures/golden', import.meta.url))
const minimal = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'] }

function errorOf(raw: Record<string, unknown>): FineTuneError {
  try {
    parseAdapterConfig(raw, 'adapter_config.json')
  } catch (error) {
    if (error instanceof FineTuneError) return error
    throw error
  }
  throw new Error(`accepted ${JSON.stringify(raw)}`)
}

describe('adapter_config.json', () => {
  const folders = fs.readdirSync(golden).map((name) => path.join(golden, name, 'adapter')).filter((folder) => fs.existsSync(folder))

  it('of biases of experts is refused by their name', () => {
    const error = errorOf({ ...minimal, target_parameters: ['mlp.experts.gate_up_proj', 'mlp.experts.gate_up_proj_bias'] })
    expect(error.code).to.equal('FT_ADAPTER')
    expect(error.message).to.include('gate_up_proj_bias')
  })

  it('is read as PEFT wrote it', async () => {
    expect(folders.length).to.be.greaterThan(3)
    for (const folder of folders) {
      const raw = JSON.parse(fs.readFileSync(path.join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
      const config = await readAdapterConfig(folder)
      expect(config.r).to.equal(raw.r)
      expect(config.loraAlpha).to.equal(raw.lora_alpha)
      expect(config.targetModules).to.deep.equal(raw.target_modules)
      expect(config.rankPattern).to.deep.equal(raw.rank_pattern)
      expect(config.useRslora).to.equal(raw.use_rslora)
      expect(config.ensureWeightTying).to.equal(raw.ensure_weight_tying)
    }
  })

  it('is written with the same fields, values and order', async () => {
    for (const folder of folders) {
      const raw = JSON.parse(fs.readFileSync(path.join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
      const config = await readAdapterConfig(folder)
      const text = adapterConfigText({
        options: withLoraDefaults(config),
        targetModules: config.targetModules,
        baseModelNameOrPath: config.baseModelNameOrPath,
        initLoraWeights: config.initLoraWeights === 'gaussian' ? 'gaussian' : true,
        fanInFanOut: raw.fan_in_fan_out === true,
      })
      const written = JSON.parse(text) as Record<string, unknown>
      expect(Object.keys(written)).to.deep.equal(Object.keys(raw))
      expect(written).to.deep.equal({ ...raw, layers_pattern: raw.layers_pattern ?? null })
    }
  })

  it('names a base of the hub and its revision as PEFT does', () => {
    const text = adapterConfigText({ options: withLoraDefaults({}), targetModules: ['q_proj'], baseModelNameOrPath: 'org/name@v1.0', initLoraWeights: true })
    const raw = JSON.parse(text) as Record<string, unknown>
    expect([raw.base_model_name_or_path, raw.revision]).to.deep.equal(['org/name', 'v1.0'])
    expect(parseAdapterConfig(raw, 'adapter_config.json').baseModelNameOrPath).to.equal('org/name@v1.0')
    for (const [name, revision] of [['/home/me/m@v1', null], ['./a@b', null], ['org/name', null]] as const) {
      const written = JSON.parse(adapterConfigText({ options: withLoraDefaults({}), targetModules: ['q_proj'], baseModelNameOrPath: name, initLoraWeights: true })) as Record<string, unknown>
      expect([written.base_model_name_or_path, written.revision]).to.deep.equal([name, revision])
    }
  })

  it('fields of other versions are ignored, missing ones have PEFT’s defaults', () => {
    const config = parseAdapterConfig({ ...minimal, something_new: { a: 1 }, enable_lora: null, inference_mode: false }, 'x')
    expect(config).to.include({ r: 4, loraAlpha: 8, loraDropout: 0, useRslora: false, baseModelNameOrPath: '' })
    expect(parseAdapterConfig({ peft_type: 'LORA', target_modules: 'all-linear' }, 'x')).to.include({ r: 8, loraAlpha: 8, targetModules: 'all-linear' })
  })

  const refused: Record<string, unknown> = {
    use_dora: true,
    lora_bias: true,
    bias: 'all',
    modules_to_save: ['lm_head'],
    trainable_token_indices: [1, 2],
    layer_replication: [[0, 2]],
    megatron_config: { a: 1 },
    alora_invocation_tokens: [1],
    use_qalora: true,
    use_bdlora: { nblocks: 2 },
    arrow_config: { top_k: 3 },
    kasa_config: { beta: 1 },
    monteclora_config: { num_samples: 4 },
    corda_config: { corda_method: 'ipm' },
    init_lora_weights: 'pissa',
    peft_type: 'ADALORA',
    target_modules: null,
    r: 0,
    lora_alpha: 'x',
    rank_pattern: [1],
    exclude_modules: 3,
    layers_to_transform: 'a',
  }
  for (const [field, value] of Object.entries(refused)) {
    it(`refuses ${field}: ${JSON.stringify(value)}`, () => {
      const error = errorOf({ ...minimal, [field]: value })
      expect(error.code).to.equal('FT_ADAPTER')
      expect(error.message).to.contain(field)
      expect(error.details.field).to.equal(field)
    })
  }

  it('accepts values that ask for nothing', () => {
    parseAdapterConfig({ ...minimal, modules_to_save: [], bias: 'none', use_dora: false, megatron_config: null, trainable_token_indices: null, layer_replication: [], init_lora_weights: 'gaussian', eva_config: {}, loftq_config: {} }, 'x')
  })

  it('a folder without it, or with pickled weights, is refused with a remedy', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-adapter-'))
    const code = async (target: string): Promise<string> =>
      await readAdapterConfig(target).then(() => 'accepted', (error: unknown) => (error instanceof FineTuneError && error.remedy !== '' ? error.code : String(error)))
    expect(await code(path.join(folder, 'missing'))).to.equal('FT_ADAPTER')
    expect(await code(folder)).to.equal('FT_ADAPTER')
    fs.writeFileSync(path.join(folder, 'adapter_config.json'), JSON.stringify(minimal))
    expect(await code(folder)).to.equal('FT_ADAPTER')
    fs.writeFileSync(path.join(folder, 'adapter_model.bin'), 'PK')
    expect(await code(folder)).to.equal('FT_PICKLE_REFUSED')
    fs.writeFileSync(path.join(folder, 'adapter_model.safetensors'), '')
    expect(await code(folder)).to.equal('accepted')
    for (const text of ['', '{', '[]', 'null', '{"peft_type": "LORA"']) {
      fs.writeFileSync(path.join(folder, 'adapter_config.json'), text)
      expect(await code(folder), text).to.equal('FT_ADAPTER')
    }
    fs.rmSync(folder, { recursive: true })
  })
})
