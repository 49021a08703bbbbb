// Configuration files: YAML and JSON, both spellings, line numbers, and every way to be wrong.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { loadConfig } from '../../../lib/core/config/index.js'
import { caught } from '../support/caught.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-config-file-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const base = 'model:\n  name: m\ndataset:\n  path: d.jsonl\n'

function load(text: string, name = 'c.yaml') {
  const file = path.join(folder, name)
  writeFileSync(file, text)
  return loadConfig({ file, env: {} }).config
}

describe('a configuration file', () => {
  it('is YAML with numbers as people write them', () => {
    const config = load(`${base}training:\n  learning_rate: 2e-4\n  num_epochs: 2\n  gradient_checkpointing: auto\nlora:\n  target_modules: [q_proj, v_proj]\n  rank_pattern: {q_proj: 4}\n`)
    expect(config.training).to.include({ learningRate: 2e-4, numEpochs: 2, gradientCheckpointing: 'auto' })
    expect(config.lora).to.deep.include({ targetModules: ['q_proj', 'v_proj'], rankPattern: { q_proj: 4 } })
    expect(config.origins['training.learning_rate']).to.equal('file')
  })

  it('is JSON, tabs and $schema included', () => {
    const text = JSON.stringify({ $schema: './x.json', model: { name: 'm' }, dataset: { path: ['a', 'b'] }, training: { batchSize: 2 } }, null, '\t')
    expect(load(text, 'c.json').training.batchSize).to.equal(2)
    expect(load(text, 'c.json').dataset.path).to.deep.equal(['a', 'b'])
  })

  it('takes both spellings, but not both for one key', () => {
    expect(load(`${base}lora:\n  loraAlpha: 8\n  lora_dropout: 0.1\n`).lora).to.include({ loraAlpha: 8, loraDropout: 0.1 })
    const error = caught(() => load(`${base}lora:\n  loraAlpha: 8\n  lora_alpha: 8\n`))
    expect(error.code).to.equal('FT_INVALID_CONFIG')
    expect(error.message).to.include('c.yaml:7').and.include('loraAlpha').and.include('lora_alpha')
  })

  it('may begin with a byte order mark, be empty, or have empty sections', () => {
    expect(load(`\uFEFF${base}training:\n`).training.seed).to.equal(42)
    expect(caught(() => load('')).code).to.equal('FT_MISSING_CONFIG')
    expect(caught(() => load('# nothing\n')).code).to.equal('FT_MISSING_CONFIG')
  })

  it('leaves a key without default unset by null, and refuses null elsewhere', () => {
    expect(load(`${base}training:\n  max_steps:\n`).training.maxSteps).to.equal(undefined)
    expect(caught(() => load(`${base}training:\n  batch_size:\n`)).message).to.include('training.batch_size: expected an integer of at least 1, got null')
    expect(caught(() => load(`${base}training:\n  learning_rate: .nan\n`)).message).to.match(/training\.learning_rate: expected a number above 0.*, got NaN/)
  })

  it('does not take "4" for 4, nor 1 for a path', () => {
    expect(caught(() => load(`${base}training:\n  batch_size: "4"\n`)).message).to.include('got "4"')
    expect(caught(() => load(`${base}training:\n  output_dir: 1\n`)).message).to.include('expected the path of a folder, got 1')
  })
})

describe('an unknown key', () => {
  const cases: [string, string, string, string][] = [
    ['training:\n  learning_rte: 1', 'c.yaml:6', 'training.learning_rte', 'did you mean "learning_rate"?'],
    ['training:\n  per_device_train_batch_size: 1', 'c.yaml:6', 'training.per_device_train_batch_size', 'did you mean "batch_size"?'],
    ['training:\n  lora_alpha: 1', 'c.yaml:6', 'training.lora_alpha', 'did you mean "lora.lora_alpha"?'],
    ['training:\n  load_in_4bit: true', 'c.yaml:6', 'training.load_in_4bit', ''],
    ['trainig:\n  seed: 1', 'c.yaml:5', 'trainig', 'did you mean "training"?'],
    ['learning_rate: 1', 'c.yaml:5', 'learning_rate', 'did you mean "training.learning_rate"?'],
    ['tokenization:\n  padding_side: left', 'c.yaml:6', 'tokenization.padding_side', ''],
    ['upload:\n  repo: x', 'c.yaml:5', 'upload', ''],
    ['lora:\n  __proto__: 1', 'c.yaml:6', 'lora.__proto__', ''],
  ]
  for (const [text, where, key, remedy] of cases) {
    it(`${JSON.stringify(text)} names file, line and key`, () => {
      const error = caught(() => load(`${base}${text}\n`))
      expect(error).to.include({ code: 'FT_UNKNOWN_CONFIG_KEY', exitCode: 2 })
      expect(error.message).to.include(where).and.include(key)
      if (remedy) expect(error.remedy).to.equal(remedy)
      else expect(error.remedy).not.to.equal('')
    })
  }

  it('in JSON has its line too', () => {
    const error = caught(() => load('{\n  "model": {\n    "nmae": "x"\n  }\n}', 'c.json'))
    expect(error).to.include({ code: 'FT_UNKNOWN_CONFIG_KEY', remedy: 'did you mean "name"?' })
    expect(error.message).to.include('c.json:3')
  })
})

describe('a file that is no configuration', () => {
  const cases: [string, string, string, string][] = [
    ['broken YAML', 'c.yaml', 'a: [1\nb: 2', 'c.yaml:2'],
    ['a double key', 'c.yaml', 'model:\n  name: a\n  name: b\n', 'c.yaml:3'],
    ['broken JSON', 'c.json', '{"model": }', 'c.json'],
    ['a list', 'c.yaml', '- 1\n- 2\n', 'expected sections'],
    ['a text', 'c.yaml', 'hello', 'expected sections'],
    ['a section that is a value', 'c.yaml', 'training: 5\n', 'c.yaml:1: "training" is a section of keys'],
    ['another kind of file', 'c.toml', 'a = 1', 'ends in .yaml'],
    ['aliases that grow without end', 'c.yaml', `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghij'.split('').map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghij'[i]}`).join(',')}]`).join('\n')}\n`, 'not YAML'],
  ]
  for (const [what, name, text, message] of cases) {
    it(`${what} is FT_INVALID_CONFIG`, () => {
      const error = caught(() => load(text, name))
      expect(error.code).to.equal('FT_INVALID_CONFIG')
      expect(error.message).to.include(message)
      expect(error.remedy).not.to.equal('')
    })
  }

  it('nothing there, or a folder, is FT_MISSING_CONFIG', () => {
    for (const file of [path.join(folder, 'none.yaml'), folder]) expect(caught(() => loadConfig({ file, env: {} }))).to.include({ code: 'FT_MISSING_CONFIG', exitCode: 2 })
  })

  it('a huge file is refused before it is parsed', () => {
    expect(caught(() => load(`# ${'x'.repeat(2 ** 20)}`)).message).to.include('no configuration')
  })
})
