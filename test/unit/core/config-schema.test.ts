// The JSON Schema agrees with what the loader accepts, is the shipped file, and the docs are current.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect } from 'chai'
import { stringify } from 'yaml'
import { allKeys, ConfigBuilder, configJsonSchema, configToYaml, loadConfig } from '../../../lib/core/config/index.js'
import { FineTuneError } from '../../../lib/core/errors/index.js'

const scripts = path.resolve(import.meta.dirname, '../../../scripts')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-schema-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Does the loader take this file (besides what only flags could add)? */
function loaderAccepts(data: unknown): boolean {
  const file = path.join(folder, 'c.yaml')
  writeFileSync(file, stringify(data))
  try {
    loadConfig({ file, env: {} })
    return true
  } catch (error) {
    if (error instanceof FineTuneError && error.exitCode === 2) return false
    throw error
  }
}

const needed = { model: { name: 'm' }, dataset: { path: 'd.jsonl' } }

const valid: unknown[] = [
  needed,
  { ...needed, $schema: './x.json' },
  { ...needed, training: { learning_rate: 1e-4, method: 'full', max_steps: null, gradient_checkpointing: false, resume: './checkpoint-1', on_nan: 'skip:3' } },
  { ...needed, training: { learningRate: 1e-4, gradientAccumulationSteps: 2 }, lora: { loraAlpha: 8.5 } },
  { model: { name: 'm', device: 'cuda:1', dtype: 'bf16' }, dataset: { path: ['a', 'b'], validation_ratio: 0 } },
  { ...needed, lora: { target_modules: '.*q_proj', rank_pattern: { q_proj: 4 }, alpha_pattern: { q_proj: 0.5 } } },
  { ...needed, evaluation: { batch_size: 8 }, logging: { level: 'debug', file: 'x.log' } },
]

const invalid: unknown[] = [
  { ...needed, training: { learning_rte: 1 } },
  { ...needed, trainng: {} },
  { ...needed, training: { batch_size: 0 } },
  { ...needed, training: { batch_size: '4' } },
  { ...needed, training: { batch_size: 1.5 } },
  { ...needed, training: { batch_size: null } },
  { ...needed, training: { method: 'magic' } },
  { ...needed, training: { scheduler: 'cosin' } },
  { ...needed, training: { on_nan: 'skip' } },
  { ...needed, training: { gradient_checkpointing: 'yes please' } },
  { ...needed, training: [] },
  { ...needed, training: { batchSize: 0 } },
  { ...needed, lora: { r: 0 } },
  { ...needed, lora: { target_modules: [] } },
  { ...needed, lora: { rank_pattern: { q_proj: 0 } } },
  { ...needed, lora: { bias: 'all' } },
  { model: { name: 'm', device: 'tpu' }, dataset: { path: 'd' } },
  { model: { name: '' }, dataset: { path: 'd' } },
  { model: { name: 'm' }, dataset: { path: 'd', validation_ratio: 1 } },
  { model: { name: 'm' }, dataset: { path: [] } },
  { model: { name: 'm', load_in_4bits: true }, dataset: { path: 'd' } },
]

describe('the JSON Schema', () => {
  const accepts = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true }).compile(configJsonSchema())

  for (const sample of valid) {
    it(`takes ${JSON.stringify(sample)}, as the loader does`, () => {
      expect(accepts(sample), JSON.stringify(accepts.errors)).to.equal(true)
      expect(loaderAccepts(sample)).to.equal(true)
    })
  }
  for (const sample of invalid) {
    it(`refuses ${JSON.stringify(sample)}, as the loader does`, () => {
      expect(accepts(sample)).to.equal(false)
      expect(loaderAccepts(sample)).to.equal(false)
    })
  }

  it('describes every key', () => {
    const schema = configJsonSchema() as { properties: Record<string, { properties: Record<string, { description?: string }> }> }
    for (const { section, name, row } of allKeys) expect(schema.properties[section]?.properties[name]?.description, name).to.include(row.describe)
  })

  it('accepts the resolved configuration of a run', () => {
    const yaml = configToYaml(new ConfigBuilder().withModel('m').withDataset('d').withTraining('lora', './o', { maxSteps: 3 }).build())
    const file = path.join(folder, 'c.yaml')
    writeFileSync(file, yaml)
    expect(loadConfig({ file, env: {} }).config.training.maxSteps).to.equal(3)
  })
})

describe('generated files', () => {
  // In a process of their own: what other tests register would be in the schema of this one.
  for (const [file, script] of [['docs/config.schema.json', 'generate-config-schema.ts'], ['docs/configuration.md', 'generate-config-docs.ts']] as const) {
    it(`${file} is current`, () => {
      const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', path.join(scripts, script), '--check'], { encoding: 'utf8' })
      expect(status, stderr).to.equal(0)
    })
  }
})
