// ConfigBuilder gives the same object as files and flags; configToYaml writes it so that it reads back.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { parse } from 'yaml'
import { ConfigBuilder, configToYaml, loadConfig, schemaPath, TrainingMethod } from '../../../lib/core/config/index.js'
import { caught } from '../support/caught.js'

const example = () => new ConfigBuilder().withModel('./model').withDataset('./data.jsonl').withTraining('lora', './out', { numEpochs: 3 }).withLora({ r: 8, loraAlpha: 32 })

describe('ConfigBuilder', () => {
  it('builds what flags would', () => {
    const built = example().build()
    const loaded = loadConfig({ env: {}, flags: { model: './model', data: './data.jsonl', method: 'lora', output: './out', epochs: '3', 'lora-r': '8', 'lora-alpha': '32' } }).config
    expect({ ...built, origins: {} }).to.deep.equal({ ...loaded, origins: {} })
    expect(built.origins).to.include({ 'lora.r': 'code', 'lora.lora_dropout': 'default' })
  })

  it('is frozen and does not keep what it was given', () => {
    const targets = ['q_proj']
    const config = example().withLora({ targetModules: targets }).build()
    targets.push('v_proj')
    expect(config.lora.targetModules).to.deep.equal(['q_proj'])
    expect(Object.isFrozen(config.lora.targetModules)).to.equal(true)
    expect(Object.isFrozen(config)).to.equal(true)
  })

  it('takes options in every form', () => {
    const config = new ConfigBuilder()
      .withModel({ name: 'm', dtype: 'fp32' })
      .withDataset(['a', 'b'], { shuffle: false })
      .withTokenization({ maxSeqLength: 64, trainOnPrompt: true })
      .withTraining({ method: TrainingMethod.FULL, outputDir: 'o', seed: 7 })
      .withEvaluation({ batchSize: 2 })
      .withLogging({ level: 'warn' })
      .build()
    expect(config.model).to.include({ name: 'm', dtype: 'fp32' })
    expect(config.dataset).to.deep.include({ path: ['a', 'b'], shuffle: false })
    expect(config.tokenization).to.include({ maxSeqLength: 64, trainOnPrompt: true })
    expect(config.training).to.include({ method: 'full', outputDir: 'o', seed: 7, learningRate: 2e-5 })
    expect(config.evaluation.batchSize).to.equal(2)
    expect(config.logging.level).to.equal('warn')
  })

  it('lets a later call override key by key', () => {
    expect(example().withLora({ r: 4 }).build().lora).to.include({ r: 4, loraAlpha: 32 })
  })

  it('checks like everything else', () => {
    expect(caught(() => example().withLora({ r: 0 }).build())).to.include({ code: 'FT_INVALID_CONFIG', name: 'InvalidConfigError' })
    const typo = caught(() => example().withLora({ rank: 4 } as object).build())
    expect(typo).to.include({ code: 'FT_UNKNOWN_CONFIG_KEY', remedy: 'did you mean "r"?' })
    expect(typo.message).to.include('withLora()')
    expect(caught(() => new ConfigBuilder().withModel('m').build()).message).to.include('dataset.path')
    expect(caught(() => new ConfigBuilder().build()).code).to.equal('FT_MISSING_CONFIG')
  })

  it('ignores the environment: code says what it wants', () => {
    process.env.FT_NATIVE_TRAINING__SEED = '7'
    try {
      expect(example().build().training.seed).to.equal(42)
    } finally {
      delete process.env.FT_NATIVE_TRAINING__SEED
    }
  })
})

describe('a source among several', () => {
  it('is told what is wrong with it, and where', () => {
    const build = (source: object) => () => new ConfigBuilder().withModel('m').withDataset({ path: ['a.jsonl', source] } as never).build()
    for (const [source, message] of [
      [{ path: 'b.txt', weight: 0 }, /dataset\.path\[1\]\.weight: .*>0/], [{ path: 'b.txt', sample_byy: 'line' }, /dataset\.path\[1\]: .*"sample_byy"/],
    ] as const) {
      const error = caught(build(source))
      expect(error.code).to.equal('FT_INVALID_CONFIG')
      expect(error.message).to.match(message)
      expect(error.remedy).to.include('sample_by')
    }
  })
})

describe('configToYaml', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'ft-yaml-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('reads back as the same configuration', () => {
    const config = example().withTraining('lora', './out', { maxSteps: 5, warmupSteps: 2, learningRate: 1e-5 }).withLora({ rankPattern: { 'a.b': 2 }, targetModules: ['q_proj'] }).build()
    const file = path.join(folder, 'ft_config.yaml')
    writeFileSync(file, configToYaml(config, { file }))
    const again = loadConfig({ file, env: {} }).config
    expect({ ...again, origins: {} }).to.deep.equal({ ...config, origins: {} })
  })

  it('writes paths that hold from any directory, where that is asked for', () => {
    mkdirSync(path.join(folder, 'model'))
    const local = path.relative(process.cwd(), path.join(folder, 'model'))
    const build = (model: string) => new ConfigBuilder().withModel(model).withDataset(['a.jsonl', 'b/*.jsonl'], { validationPath: 'v.jsonl' }).withTraining('lora', './out', { adapter: 'first' }).build()
    const written = (model: string, options: { absolutePaths?: boolean }) => parse(configToYaml(build(model), options)) as Record<'model' | 'dataset' | 'training', Record<string, unknown>>
    const { model, dataset, training } = written(local, { absolutePaths: true })
    expect(model.name).to.equal(path.join(folder, 'model'))
    expect(dataset).to.include({ validation_path: path.resolve('v.jsonl') })
    expect(dataset.path).to.deep.equal([path.resolve('a.jsonl'), path.resolve('b/*.jsonl')])
    expect(training).to.include({ output_dir: path.resolve('out'), adapter: path.resolve('first'), method: 'lora' })
    // The name of a model in the cache is no path.
    const named = new ConfigBuilder().withModel(local).withDataset('a.jsonl').withTraining('lora', './out', { adapter: 'someone/adapter@v1' }).build()
    expect((parse(configToYaml(named, { absolutePaths: true })) as { training: object }).training).to.include({ adapter: 'someone/adapter@v1' })
    expect(written('someone/small', { absolutePaths: true }).model.name).to.equal('someone/small')
    expect(written(local, {}).model.name).to.equal(local)
  })

  it('names the schema, relative to the file', () => {
    const file = path.join(folder, 'ft_config.yaml')
    const [first = ''] = configToYaml(example().build(), { file }).split('\n')
    const reference = /^# yaml-language-server: \$schema=(.+)$/.exec(first)?.[1] ?? ''
    expect(path.resolve(folder, reference)).to.equal(schemaPath)
  })

  it('is snake_case and leaves out what concerns one command line', () => {
    const data = parse(configToYaml(example().withTraining('lora', './out', { overwrite: true, force: true }).build())) as Record<string, Record<string, unknown>>
    expect(data.training).to.include({ num_epochs: 3, learning_rate: 2e-4 }).and.not.have.any.keys('overwrite', 'force', 'resume', 'max_steps')
    expect(data.lora).to.include({ lora_alpha: 32 })
  })

  it('does not write default adapter options that an adapter decides', () => {
    const config = new ConfigBuilder().withModel('m').withDataset('d').withTraining('lora', 'o', { adapter: './a' }).build()
    const data = parse(configToYaml(config)) as { lora: object }
    expect(data.lora).to.deep.equal({ lora_dropout: 0 })
  })

  it('keeps names that look like tokens: it is read back', () => {
    const config = new ConfigBuilder().withModel('./hf_smollm135m').withDataset(['./hf_dataset2024.jsonl'], { columns: { prompt: 'hf_question1' } }).withTraining('lora', './hf_output01').build()
    const file = path.join(folder, 'ft_config.yaml')
    writeFileSync(file, configToYaml(config, { file }))
    const again = loadConfig({ file, env: {} }).config
    expect({ ...again, origins: {} }).to.deep.equal({ ...config, origins: {} })
  })

  it('holds no secret', () => {
    const config = new ConfigBuilder().withModel('https://user:secretpw@host/model').withDataset('d').withTraining('lora', 'o').build()
    expect(configToYaml(config)).not.to.include('secretpw')
    const token = 'hf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567'
    expect(configToYaml(new ConfigBuilder().withModel(`./${token}`).withDataset('d').withTraining('lora', 'o').build())).not.to.include(token)
  })
})
