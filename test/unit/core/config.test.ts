// Configuration: the defaults of the contract, precedence with origins, spelling, cross-field rules.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { allKeys, isExplicit, loadConfig, resolveEntries } from '../../../lib/core/config/index.js'
import { checkValue } from '../../../lib/core/config/schema.js'
import { names } from '../../../lib/core/registry.js'
import { caught } from '../support/caught.js'

const required = { model: './model', data: './data.jsonl' }

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-config-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(name: string, text: string): string {
  const file = path.join(folder, name)
  writeFileSync(file, text)
  return file
}

/** Model and data given, besides `flags`; nothing from the real environment. */
function load(flags: Record<string, unknown> = {}, more: { file?: string; env?: NodeJS.ProcessEnv } = {}) {
  return loadConfig({ flags: { ...required, ...flags }, env: {}, ...more }).config
}

describe('defaults', () => {
  it('are those of the contract', () => {
    const { origins, ...config } = load()
    expect(config).to.deep.equal({
      model: {
        name: './model', dtype: 'auto', device: 'auto', attention: 'auto', init: 'pretrained', loadIn4bit: false, loadIn8bit: false, bnb4bitQuantType: 'nf4', bnb4bitUseDoubleQuant: false,
        offloadLayers: 'auto', llmInt8Threshold: 6,
      },
      dataset: { path: './data.jsonl', shuffle: true, validationRatio: 0.1, onBadRow: 'stop' },
      tokenization: { maxSeqLength: 1024, packing: false, trainOnPrompt: false, allowTruncation: false },
      training: {
        method: 'lora', outputDir: './output', numEpochs: 3, batchSize: 4, gradientAccumulationSteps: 1, learningRate: 2e-4, scheduler: 'cosine',
        warmupRatio: 0.03, weightDecay: 0, maxGradNorm: 1, optimizer: 'adamw', adamBeta1: 0.9, adamBeta2: 0.999, adamEpsilon: 1e-8,
        gradientCheckpointing: 'auto', autoBatch: false, seed: 42, saveTotalLimit: 3, loadBestModelAtEnd: false, loggingSteps: 1, resume: false, overwrite: false, force: false, onNan: 'stop',
      },
      lora: { r: 16, loraAlpha: 32, loraDropout: 0, targetModules: 'all-linear', targetParameters: [], rankPattern: {}, alphaPattern: {}, bias: 'none', useRslora: false, ensureWeightTying: false },
      evaluation: {},
      logging: { level: 'info' },
    })
    expect(origins['training.batch_size']).to.equal('default')
    expect(origins['model.name']).to.equal('flag')
  })

  it('of the learning rate follow the method', () => {
    expect(load({ method: 'full' }).training.learningRate).to.equal(2e-5)
    expect(load({ method: 'full', 'learning-rate': '1e-3' }).training.learningRate).to.equal(1e-3)
  })

  it('all pass their own check', () => {
    for (const key of allKeys) {
      if (key.row.default === undefined || typeof key.row.default === 'function') continue
      expect(checkValue(key, key.row.default), key.dotted).to.deep.equal({ ok: true, value: key.row.default })
    }
  })

  it('are frozen all the way down, and not shared', () => {
    const config = load()
    expect(() => Object.assign(config.lora.rankPattern, { a: 1 })).to.throw(TypeError)
    expect(() => Object.assign(config.training, { seed: 1 })).to.throw(TypeError)
    expect(() => Object.assign(config.origins, { a: 'flag' })).to.throw(TypeError)
    expect(config.lora.rankPattern).not.to.equal(load().lora.rankPattern)
  })
})

describe('the table', () => {
  it('gives every flag once', () => {
    const flags = allKeys.flatMap((key) => key.row.flag ?? [])
    expect(flags.length).to.equal(new Set(flags).size)
  })

  it('has the flags of the contract', () => {
    const flags = new Set(allKeys.map((key) => key.row.flag))
    const contract = `model data output method epochs max-steps learning-rate batch-size gradient-accumulation-steps max-seq-length scheduler warmup-ratio
      warmup-steps weight-decay max-grad-norm optimizer lora-r lora-alpha lora-dropout target-modules adapter dtype device attention init
      gradient-checkpointing overwrite seed shuffle validation-ratio train-on-prompt allow-truncation eval-steps save-steps save-total-limit logging-steps
      resume on-bad-row on-nan force`.split(/\s+/)
    for (const flag of contract) expect(flags.has(flag), flag).to.equal(true)
  })
})

describe('precedence', () => {
  it('is flag > environment > file > default, with origins', () => {
    const file = write('c.yaml', 'training:\n  batch_size: 1\n  seed: 1\n  num_epochs: 1\n')
    const env = { FT_NATIVE_TRAINING__BATCH_SIZE: '2', FT_NATIVE_TRAINING__SEED: '2' }
    const { training, origins } = load({ 'batch-size': '3' }, { file, env })
    expect(training).to.include({ batchSize: 3, seed: 2, numEpochs: 1, maxGradNorm: 1 })
    expect(origins).to.include({ 'training.batch_size': 'flag', 'training.seed': 'environment', 'training.num_epochs': 'file', 'training.max_grad_norm': 'default' })
  })

  it('says where each value stands', () => {
    const file = write('c.yaml', '# comment\ntraining:\n  seed: 1\n')
    const entries = resolveEntries({ file, env: { FT_NATIVE_LORA__R: '4' }, flags: { epochs: 2 } })
    const where = Object.fromEntries(entries.map((entry) => [entry.key.dotted, entry.where]))
    expect(where).to.include({ 'training.seed': `${file}:3`, 'lora.r': 'FT_NATIVE_LORA__R', 'training.num_epochs': '--epochs', 'lora.bias': '' })
  })

  it('knows what was given explicitly, also when it equals the default', () => {
    const config = load({ 'lora-r': '16' })
    expect(isExplicit(config, 'lora.r')).to.equal(true)
    expect(isExplicit(config, 'lora.lora_alpha')).to.equal(false)
  })

  it('checks a value that another place overrides', () => {
    const file = write('c.yaml', 'training:\n  batch_size: none\n')
    expect(caught(() => load({ 'batch-size': '3' }, { file })).message).to.include(`${file}:2: training.batch_size: expected an integer of at least 1, got "none"`)
  })

  it('ignores empty and unrelated variables', () => {
    expect(load({}, { env: { FT_NATIVE_TRAINING__SEED: '', FT_NATIVE_CACHE: '/x', OTHER__THING: '1' } }).training.seed).to.equal(42)
  })
})

describe('values from text', () => {
  it('are numbers, switches, lists and maps', () => {
    const env = {
      FT_NATIVE_DATASET__SHUFFLE: 'false', FT_NATIVE_TRAINING__GRADIENT_CHECKPOINTING: 'true', FT_NATIVE_LORA__RANK_PATTERN: '{"q_proj": 4}',
      FT_NATIVE_DATASET__PATH: '["a.jsonl","b.jsonl"]', FT_NATIVE_TRAINING__LEARNING_RATE: '3e-5', FT_NATIVE_TRAINING__RESUME: 'true',
    }
    const config = loadConfig({ flags: { model: 'm' }, env }).config
    expect(config.dataset).to.deep.include({ shuffle: false, path: ['a.jsonl', 'b.jsonl'] })
    expect(config.training).to.include({ gradientCheckpointing: true, learningRate: 3e-5, resume: true })
    expect(config.lora.rankPattern).to.deep.equal({ q_proj: 4 })
  })

  const bad: [string, string, string][] = [
    ['batch-size', '0', 'an integer of at least 1'], ['batch-size', '1.5', 'an integer'], ['batch-size', '', 'an integer'], ['batch-size', '0x10', 'an integer'],
    ['lora-r', '0', 'an integer of at least 1'], ['lora-r', '-4', 'an integer'], ['learning-rate', 'NaN', 'a number above 0'], ['learning-rate', '0', 'a number above 0'], ['learning-rate', '5000', 'a number above 0, at most 1000'], ['lora-r', '100000', 'an integer of at least 1, at most 65536'], ['lora-alpha', '2000000', 'a number above 0, at most 1000000'],
    ['learning-rate', 'Infinity', 'a number'], ['validation-ratio', '1', 'a number from 0 to below 1'], ['lora-dropout', '1', 'a number from 0'],
    ['seed', '9007199254740993', 'an integer'], ['dtype', 'float16', 'auto, bf16'], ['device', 'cuda:x', 'auto, cpu'], ['device', 'gpu', 'auto, cpu'],
    ['on-nan', 'skip:0', 'stop or skip'], ['scheduler', 'cosin', 'the name of a schedule'], ['gradient-checkpointing', 'maybe', 'true, false, auto or a number of layers'],
    ['max-seq-length', '1', 'an integer of at least 2'], ['save-steps', '0', 'an integer of at least 1'],
  ]
  for (const [flag, value, expected] of bad) {
    it(`refuse --${flag} "${value}"`, () => {
      const error = caught(() => load({ [flag]: value }))
      expect(error).to.include({ code: 'FT_INVALID_CONFIG', exitCode: 2 })
      expect(error.message).to.include(`--${flag}: expected ${expected}`).and.include(`got "${value}"`.replace(/"(-?\d[\d.]*)"/, value === '9007199254740993' ? '9007199254740992' : '$1'))
      expect(error.remedy).not.to.equal('')
    })
  }

  it('name the nearest choice', () => {
    expect(caught(() => load({ scheduler: 'cosin' })).remedy).to.equal('did you mean "cosine"?')
    expect(caught(() => load({ dtype: 'pf16' })).remedy).to.match(/did you mean "(bf16|fp16)"/)
  })
})

describe('target modules', () => {
  const cases: [unknown, unknown][] = [
    ['all-linear', 'all-linear'], ['q_proj', ['q_proj']], ['q_proj,v_proj', ['q_proj', 'v_proj']], ['q_proj, v_proj', ['q_proj', 'v_proj']],
    ['model.layers.0.mlp.up_proj', ['model.layers.0.mlp.up_proj']], ['.*\\.(q|v)_proj', '.*\\.(q|v)_proj'], ['.*layers\\.\\d{1,2}\\..*', '.*layers\\.\\d{1,2}\\..*'],
    [['q_proj'], ['q_proj']],
  ]
  for (const [given, wanted] of cases) {
    it(`${JSON.stringify(given)} is ${JSON.stringify(wanted)}`, () => {
      expect(load({ 'target-modules': given }).lora.targetModules).to.deep.equal(wanted)
    })
  }

  it('refuses an empty list and an empty name', () => {
    expect(caught(() => load({ 'target-modules': [] })).code).to.equal('FT_INVALID_CONFIG')
    expect(caught(() => load({ 'target-modules': ['q_proj', ''] })).message).to.include('--target-modules[1]')
  })
})

describe('rules over several keys', () => {
  it('warmup ratio and steps exclude each other when both are set and non-zero', () => {
    const error = caught(() => load({ 'warmup-ratio': '0.1', 'warmup-steps': '5' }))
    expect(error).to.include({ code: 'FT_INCOMPATIBLE_CONFIG', exitCode: 2, name: 'IncompatibleConfigError' })
    expect(load({ 'warmup-steps': '5' }).training).to.include({ warmupRatio: 0, warmupSteps: 5 })
    expect(load({ 'warmup-steps': '0' }).training).to.include({ warmupRatio: 0, warmupSteps: 0 })
    expect(load({ 'warmup-steps': '5', 'warmup-ratio': '0' }).training).to.include({ warmupRatio: 0, warmupSteps: 5 })
    const both = load({ 'warmup-steps': '0', 'warmup-ratio': '0.1' }).training
    expect(both.warmupRatio).to.equal(0.1)
    expect(both.warmupSteps).to.equal(undefined)
  })

  it('finds the conflict across places', () => {
    const file = write('c.yaml', 'training:\n  warmup_ratio: 0.1\n')
    expect(caught(() => load({ 'warmup-steps': '5' }, { file })).code).to.equal('FT_INCOMPATIBLE_CONFIG')
  })

  const conflicts: Record<string, unknown>[] = [
    { resume: true, overwrite: true }, { resume: './out/checkpoint-5', overwrite: true }, { adapter: './a', method: 'full' }, { 'validation-path': 'v.jsonl', 'validation-ratio': '0.2' },
    { 'load-best-model-at-end': true, 'validation-ratio': '0' }, { 'load-best-model-at-end': true, 'save-steps': '5', 'eval-steps': '2' },
    { 'load-best-model-at-end': true, 'save-steps': '5' }, { 'load-best-model-at-end': true, 'eval-steps': '5' },
  ]
  for (const flags of conflicts) {
    it(`${JSON.stringify(flags)} is refused`, () => {
      expect(caught(() => load(flags)).code).to.equal('FT_INCOMPATIBLE_CONFIG')
    })
  }

  it('the best checkpoint can be judged where every save follows an evaluation', () => {
    expect(load({ 'load-best-model-at-end': true }).training.loadBestModelAtEnd).to.equal(true)
    expect(load({ 'load-best-model-at-end': true, 'save-steps': '6', 'eval-steps': '3' }).training).to.include({ saveSteps: 6, evalSteps: 3 })
    expect(load({ 'load-best-model-at-end': true, 'validation-path': 'v.jsonl', 'validation-ratio': '0' }).dataset.validationPath).to.equal('v.jsonl')
    expect(load({ 'save-steps': '5', 'eval-steps': '2', 'validation-ratio': '0' }).training.loadBestModelAtEnd).to.equal(false)
  })

  it('a validation file turns the default ratio off', () => {
    expect(load({ 'validation-path': 'v.jsonl' }).dataset).to.include({ validationRatio: 0, validationPath: 'v.jsonl' })
  })
})

describe('what is missing or unknown', () => {
  it('required keys are named with every way to give them', () => {
    const error = caught(() => loadConfig({ env: {}, flags: {} }))
    expect(error).to.include({ code: 'FT_MISSING_CONFIG', exitCode: 2, name: 'MissingConfigError', message: 'model.name and dataset.path are not set' })
    expect(error.remedy).to.equal('give --model and --data, or their lines in the configuration file, or FT_NATIVE_MODEL__NAME and FT_NATIVE_DATASET__PATH')
    expect(caught(() => loadConfig({ env: {}, flags: { model: 'm' } })).remedy).to.equal('give --data, or its line in the configuration file, or FT_NATIVE_DATASET__PATH')
  })

  it('an unknown flag and an unknown variable are named with the nearest', () => {
    expect(caught(() => load({ 'learning-rte': 1 }))).to.include({ code: 'FT_USAGE', remedy: 'did you mean "learning-rate"?' })
    const error = caught(() => load({}, { env: { FT_NATIVE_TRAINING__BATCHSIZE: '1' } }))
    expect(error).to.include({ code: 'FT_UNKNOWN_CONFIG_KEY', exitCode: 2, remedy: 'did you mean "batch_size"?' })
    expect(error.message).to.include('FT_NATIVE_TRAINING__BATCHSIZE')
    expect(caught(() => load({}, { env: { FT_NATIVE_TRAINNING__SEED: '1' } })).remedy).to.equal('did you mean "training"?')
  })

  it('all faults are in one error', () => {
    const error = caught(() => load({ 'batch-size': 'x', 'lora-r': '0' }))
    expect(error.message).to.include('2 faults').and.include('--batch-size').and.include('--lora-r')
    expect(error.details.problems).to.have.length(2)
  })
})

describe('names of plugins', () => {
  it('in a file: the plugin may be what is missing', () => {
    const file = write('plugin.yaml', 'training:\n  method: lora_of_mine\n')
    expect(caught(() => load({}, { file })).remedy).to.include('--plugin')
    expect(caught(() => load({ method: 'lor' })).remedy).to.equal('did you mean "lora"?')
  })

  it('are accepted once they are registered', () => {
    expect(caught(() => load({ method: 'test-only-method' })).code).to.equal('FT_INVALID_CONFIG')
    names.trainers.add('test-only-method')
    expect(load({ method: 'test-only-method' }).training.method).to.equal('test-only-method')
  })
})
