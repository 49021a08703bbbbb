// The package as its users see it: what it exports, from import and require(), without loading the addon.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import * as surface from '../../../lib/index.js'
import { ConfigBuilder, loadModel, train, type ResolvedConfig, type TrainingResult } from '../../../lib/index.js'
import { cliMain, root, runNode } from '../support/cli.js'

/** The exports of the contract whose subject is built. */
const contract = [
  'ConfigBuilder', 'train', 'loadModel', 'loadModelAndTokenizer', 'ModelLoader', 'TargetModuleDetector', 'LoRATrainer', 'FullFineTuner', 'TrainerFactory',
  'DatasetLoaderRegistry', 'registerLoader', 'prepareDataset', 'DataPipeline', 'quickLoad', 'TextColumnDetector', 'DatasetFilter', 'DatasetStatistics', 'DatasetAnalyzer', 'SingleColumnStrategy', 'MultiColumnStrategy', 'InstructionStrategy', 'setupLogger', 'logModelInfo', 'logDatasetInfo', 'TrainingMethod', 'DatasetSource',
  'FineTuneError', 'ConfigurationError', 'InvalidConfigError', 'MissingConfigError', 'IncompatibleConfigError', 'ModelError', 'ModelLoadError',
  'ModelNotFoundError', 'UnsupportedModelError', 'DatasetError', 'DatasetLoadError', 'NoTextColumnsError', 'EmptyDatasetError', 'TrainingError',
  'OutOfMemoryError', 'NaNLossError', 'CheckpointError', 'EvaluationError', 'MetricComputationError', 'HubError',
]

/** Packages that may be loaded by an import of ft-native; the others wait until they are needed. */
const light = ['tokenizers', 're2js', 'picocolors', '@huggingface/jinja']

/** Compiled, never called: the example of the documentation, typed. */
export async function documentedUse(): Promise<void> {
  const config: ResolvedConfig = new ConfigBuilder().withModel('./model').withDataset('./data.jsonl').withTraining('lora', './out', { numEpochs: 3 }).withLora({ r: 8, loraAlpha: 32 }).build()
  const result: TrainingResult = await train(config, { onEvent: (event) => void event.event })
  const model = await loadModel({ name: './model', dtype: 'fp32', device: 'cpu' })
  const { logits, shape } = await model.forward([[1, 2, 3]])
  const numbers: [Float32Array, readonly number[], number] = [logits, shape, result.steps]
  void numbers
  await model[Symbol.asyncDispose]()
}

describe('the public surface', () => {
  it('has the exports of the contract', () => {
    for (const name of contract) expect(surface, name).to.have.property(name)
  })

  it('has nothing that is not there', () => {
    for (const [name, value] of Object.entries(surface)) expect(value, name).not.to.equal(undefined)
  })

  describe('in a program of its own', () => {
    let folder: string
    before(() => {
      folder = mkdtempSync(path.join(os.tmpdir(), 'ft-surface-'))
      const packages = path.join(folder, 'node_modules')
      mkdirSync(packages)
      symlinkSync(path.resolve(path.dirname(cliMain({ packages: false })), '../..'), path.join(packages, 'ft-native'))
    })
    after(() => rmSync(folder, { recursive: true, force: true }))

    const run = (name: string, text: string) => {
      const file = path.join(folder, name)
      writeFileSync(file, text)
      return runNode([file], { cwd: folder })
    }
    const loadedAddon = 'Object.keys(require.cache).some((file) => file.includes("ft_native"))'

    before(() => {
      // Beside the transpiled package: only what an import may load.
      const packages = path.resolve(path.dirname(cliMain({ packages: false })), '../../node_modules')
      mkdirSync(path.join(packages, '@huggingface'), { recursive: true })
      for (const name of light) symlinkSync(path.join(root, 'node_modules', name), path.join(packages, name))
    })
    after(() => rmSync(path.resolve(path.dirname(cliMain({ packages: false })), '../../node_modules'), { recursive: true }))

    it('import works, and loads neither the addon nor zod, winston, yaml or cli-progress', async () => {
      const { stdout, stderr, code } = await run('a.mjs', `
        import { createRequire } from 'node:module'
        import { ConfigBuilder } from 'ft-native'
        const require = createRequire(import.meta.url)
        console.log(typeof ConfigBuilder, ${loadedAddon})
      `)
      expect({ stdout, stderr, code }).to.deep.equal({ stdout: 'function false\n', stderr: '', code: 0 })
    })

    it('require() works', async () => {
      const { stdout, stderr, code } = await run('b.cjs', `
        const { ConfigBuilder, FineTuneError } = require('ft-native')
        try { new ConfigBuilder().build() } catch (error) { console.log(error instanceof FineTuneError, error.code, ${loadedAddon}) }
      `)
      expect({ stdout, stderr, code }).to.deep.equal({ stdout: 'true FT_MISSING_CONFIG false\n', stderr: '', code: 0 })
    })
  })
})
