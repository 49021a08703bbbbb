// What the train command adds to the run: the saved configuration of a resumed run, the bar, the summary; and the
// example of a trainer of one's own.
import { expect } from 'chai'
import fs from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { ParsedFlags, type FlagValue } from '../../../lib/cli/parsed-flags.js'
import { withSavedConfig } from '../../../lib/cli/saved-config.js'
import { trainingBar, trainingSummary } from '../../../lib/cli/training-view.js'
import { ConfigBuilder, loadConfig } from '../../../lib/core/config/index.js'
import * as api from '../../../lib/trainers/index.js'
import type { LogprobLoss } from '../../../lib/trainers/index.js'
import { caught } from '../support/caught.js'
import { tinyBackend } from './tiny-engine.js'
import { digests, stateFiles, Workspace } from './workspace.js'

describe('ft-native train', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())
  const flags = (values: Record<string, FlagValue>) => new ParsedFlags(new Map(Object.entries(values)))

  it('--resume alone reads what the run wrote, and goes on in its folder', async () => {
    const config = space.config('out', { saveSteps: 3, warmupSteps: 2 })
    await api.train(config, { backend: tinyBackend() })
    for (const resume of [space.path('out'), space.path('out', 'checkpoint-6')]) {
      const input = withSavedConfig({ positionals: { config: undefined }, flags: flags({ resume }) })
      const { config: read } = loadConfig({ file: input.positionals.config, flags: Object.fromEntries(input.flags.entries()), env: {} })
      expect(path.resolve(read.training.outputDir)).to.equal(space.path('out'))
      expect(read.model).to.deep.equal(config.model)
      expect(read.dataset.path).to.equal(path.resolve('data.jsonl'))
      expect({ ...read.training, resume: false, outputDir: '' }).to.deep.equal({ ...config.training, outputDir: '' })
      expect(read.lora).to.deep.equal(config.lora)
    }
    // The folder may have moved since.
    await fs.rename(space.path('out'), space.path('moved'))
    const input = withSavedConfig({ positionals: {}, flags: flags({ resume: space.path('moved') }) })
    expect(input.flags.text('output')).to.equal(space.path('moved'))
    const { config: read } = loadConfig({ file: input.positionals.config, flags: Object.fromEntries(input.flags.entries()), env: {} })
    expect((await api.train(read, { backend: tinyBackend() })).steps).to.equal(10)
  })

  it('a configuration or a model that is given counts', () => {
    const plain = { positionals: { config: undefined }, flags: flags({ model: './m', resume: true }) }
    expect(withSavedConfig(plain)).to.equal(plain)
    const file = { positionals: { config: 'a.yaml' }, flags: flags({ resume: true }) }
    expect(withSavedConfig(file)).to.equal(file)
  })

  it('--resume alone says which file is missing', async () => {
    const refused = (resume: FlagValue, more: Record<string, FlagValue> = {}) => caught(() => withSavedConfig({ positionals: {}, flags: flags({ resume, ...more }) }))
    const nowhere = refused(space.path('nowhere'))
    expect(nowhere).to.include({ code: 'FT_MISSING_CONFIG', exitCode: 2 })
    expect(nowhere.message).to.include(`--resume ${space.path('nowhere')}: there is no such folder`).and.include('model.name and dataset.path')
    expect(nowhere.remedy).to.include('ft_config.yaml').and.include('--model and --data')
    await fs.mkdir(space.path('empty'))
    expect(refused(space.path('empty')).message).to.include('the folder has no ft_config.yaml')
    expect(refused(true, { output: space.path('empty') }).message).to.include(`--resume ${space.path('empty')}`)
    expect(refused(space.path('empty'), { data: 'd.jsonl' })).to.include({ remedy: "name the folder that holds the run's ft_config.yaml, or give --model as the run had them" })
    // The environment may say both.
    const variables = { FT_NATIVE_MODEL__NAME: './m', FT_NATIVE_DATASET__PATH: './d.jsonl' }
    Object.assign(process.env, variables)
    try {
      const given = { positionals: {}, flags: flags({ resume: space.path('nowhere') }) }
      expect(withSavedConfig(given)).to.equal(given)
    } finally {
      for (const name of Object.keys(variables)) Reflect.deleteProperty(process.env, name)
    }
  })

  it('a run of relative paths resumes from any directory, and takes the same folder as the same', async () => {
    const here = process.cwd()
    const relative = path.relative(here, space.root)
    const config = new ConfigBuilder()
      .withModel(path.join(relative, 'model'))
      .withDataset([path.join(relative, 'data.jsonl'), 'rows-*.jsonl'])
      .withTraining({ method: 'lora', outputDir: path.join(relative, 'out'), batchSize: 2, maxSteps: 3 })
      .build()
    await api.train(config, { backend: tinyBackend() })
    await fs.mkdir(space.path('elsewhere'))
    process.chdir(space.path('elsewhere'))
    try {
      const input = withSavedConfig({ positionals: {}, flags: flags({ resume: '../out', 'max-steps': '5' }) })
      const { config: read } = loadConfig({ file: input.positionals.config, flags: Object.fromEntries(input.flags.entries()), env: {} })
      expect(read.model.name).to.equal(space.model)
      expect(read.dataset.path).to.deep.equal([space.path('data.jsonl'), path.join(here, 'rows-*.jsonl')])
      expect((await api.train(read, { backend: tinyBackend() })).steps).to.equal(5)
    } finally {
      process.chdir(here)
    }
  })

  it('names that look like tokens stay in what is read back', async () => {
    await fs.rename(space.model, space.path('hf_smollm135m'))
    const config = new ConfigBuilder()
      .withModel(space.path('hf_smollm135m'))
      .withDataset(space.path('hf_dataset2024.jsonl'))
      .withTraining({ method: 'lora', outputDir: space.path('hf_output2024'), batchSize: 2, maxSteps: 2 })
      .build()
    await api.train(config, { backend: tinyBackend() })
    expect(await fs.readFile(space.path('hf_output2024', 'README.md'), 'utf8')).to.include(`base_model: ${JSON.stringify(space.path('hf_smollm135m'))}`).and.not.include('[redacted]')
    const input = withSavedConfig({ positionals: {}, flags: flags({ resume: space.path('hf_output2024'), 'max-steps': '4' }) })
    const { config: read } = loadConfig({ file: input.positionals.config, flags: Object.fromEntries(input.flags.entries()), env: {} })
    expect((await api.train(read, { backend: tinyBackend() })).steps).to.equal(4)
  })

  it('shows a bar on a terminal only', async () => {
    const drawn: string[] = []
    const progress = ({ label, total }: { label: string; total: number }) => {
      drawn.push(`${label} ${total}`)
      return { update: (value: number, note?: string) => void drawn.push(`${value} ${note ?? ''}`), setTotal: () => undefined, stop: () => void drawn.push('stop') }
    }
    const run = async (output: string, interactive: boolean): Promise<void> => {
      const bar = trainingBar({ progress }, interactive)
      await api.train(space.config(output, { maxSteps: 2 }), { backend: tinyBackend({ validation: 2 }), onEvent: (event) => bar.show(event) })
    }
    await run('a', false)
    expect(drawn).to.deep.equal([])
    await run('b', true)
    expect(drawn[0]).to.equal('training 2')
    expect(drawn[2]).to.match(/^1 loss \d\.\d{4}, \d+ tokens\/s$/)
    expect(drawn.at(-1)).to.equal('stop')
  })

  it('says in the end where the result is, or how to go on', async () => {
    const config = space.config('out', { maxSteps: 4 })
    const text = trainingSummary(config, await api.train(config, { backend: tinyBackend({ validation: 2 }), evaluateFirst: true })).join('\n')
    expect(text).to.match(/^4 steps in .*training loss \d/).and.match(/validation loss \d\.\d+ → \d\.\d+/).and.include(`The adapter is in ${space.path('out')}`)
    expect(text).not.to.include('with the weights of')
    const controller = new AbortController()
    const stopped = await api.train(space.config('stopped'), { backend: tinyBackend(), signal: controller.signal, onEvent: (event) => void (event.event === 'step' && controller.abort()) })
    expect(trainingSummary(config, stopped).join('\n')).to.include('Stopped after step 1').and.include(`--resume ${space.path('stopped')}`)
    const rehearsed = await api.train(space.config('dry'), { backend: tinyBackend(), dryRun: true })
    expect(trainingSummary(config, rehearsed).join('\n')).to.include('Dry run passed')
  })
})

describe('examples/custom-trainer.mjs', () => {
  const file = pathToFileURL(path.resolve(import.meta.dirname, '../../../examples/custom-trainer.mjs')).href
  const example = async () => (await import(file)) as { focalLoss: LogprobLoss; register: (given: typeof api) => void }

  it('has the derivative of its loss', async () => {
    const { focalLoss } = await example()
    const batch = { inputIds: new Int32Array(5), cuSeqlens: Int32Array.from([0, 5]) }
    const at = Float32Array.from([0, -0.1, -1, -3, -0.5])
    const { gradient } = focalLoss(at, batch, { supervisedTokens: 4, step: 0 })
    for (let token = 1; token < 5; token++) {
      const moved = (by: number): number => {
        // In doubles: a Float32Array would round the difference away.
        const values = Array.from(at, (value, index) => (index === token ? value + by : value))
        return focalLoss(values as unknown as Float32Array, batch, { supervisedTokens: 4, step: 0 }).loss
      }
      expect(gradient[token]).to.be.closeTo((moved(1e-5) - moved(-1e-5)) / 2e-5, 1e-5)
    }
    expect(gradient[0] ?? 1).to.be.closeTo(0, 0)
  })

  it('registers a trainer that learns and resumes', async () => {
    ;(await example()).register(api)
    const space = await Workspace.create()
    try {
      const config = (output: string, extra = {}) => space.config(output, { method: 'focal_lora', numEpochs: 10, saveSteps: 20, ...extra })
      const losses: (number | null)[] = []
      await api.train(config('whole'), { backend: tinyBackend(), onEvent: (event) => void (event.event === 'step' && losses.push(event.loss)) })
      expect(losses.at(-1)).to.be.lessThan((losses[0] ?? 0) - 0.1)
      const controller = new AbortController()
      await api.train(config('parts'), { backend: tinyBackend(), signal: controller.signal, onEvent: (event) => void (event.event === 'step' && event.step === 7 && controller.abort()) })
      await api.train(config('parts', { resume: true }), { backend: tinyBackend() })
      expect(await digests(space.path('parts', 'checkpoint-50'), stateFiles)).to.deep.equal(await digests(space.path('whole', 'checkpoint-50'), stateFiles))
    } finally {
      await space.remove()
    }
  })
})
