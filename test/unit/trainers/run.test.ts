// A whole run on the tiny engine: events, files, and the order in which things happen.
import { expect } from 'chai'
import fs from 'node:fs/promises'
import { train } from '../../../lib/trainers/index.js'
import { tinyBackend } from './tiny-engine.js'
import { digests, Recorder, stateFiles, Workspace } from './workspace.js'

describe('a training run', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())

  it('tells of every step with the fields of the contract', async () => {
    const seen = new Recorder()
    const result = await train(space.config('out', { scheduler: 'linear', warmupRatio: 0 }), { ...seen, backend: tinyBackend() })
    expect(seen.events[0]).to.include({ event: 'start', method: 'lora', max_steps: 10, steps_per_epoch: 5, step: 0, resumed_from: null })
    expect(seen.steps.map((event) => event.step)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    for (const event of seen.steps) {
      expect(event.epoch).to.be.closeTo(event.step / 5, 1e-12)
      expect(event.learning_rate).to.be.closeTo(0.05 * ((11 - event.step) / 10), 1e-12)
      expect(event.loss).to.be.a('number')
      expect(event.grad_norm).to.be.greaterThan(0)
      expect(event.tokens).to.be.greaterThan(event.supervised_tokens)
      expect(event.tokens_per_second).to.be.closeTo(event.tokens / event.seconds, 1e-6)
      if (event.step >= 3) expect(event.eta_seconds).to.be.at.least(0)
      else expect(event).not.to.have.property('eta_seconds')
    }
    const end = seen.of('end')[0]
    expect(end).to.include({ status: 'finished', steps: 10, skipped_steps: 0, output: space.path('out') })
    expect(end?.first_step_seconds).to.be.greaterThan(0)
    expect(end?.peak_rss_bytes).to.be.greaterThan(1e6)
    const mean = seen.steps.reduce((sum, event) => sum + (event.loss ?? 0), 0) / 10
    expect(end?.train_loss).to.be.closeTo(mean, 1e-12)
    expect(result).to.include({ status: 'finished', steps: 10, checkpoint: space.path('out', 'checkpoint-10') })
  })

  it('learns', async () => {
    const seen = new Recorder()
    await train(space.config('out', { numEpochs: 20 }), { ...seen, backend: tinyBackend({ rows: 20, validation: 10 }), evaluateFirst: true })
    const evals = seen.of('eval')
    expect(evals[0]?.step).to.equal(0)
    expect(evals.at(-1)?.eval_loss).to.be.lessThan((evals[0]?.eval_loss ?? 0) - 0.1)
  })

  it('makes the batches of the next step while the engine works, with the event loop free', async () => {
    const order: string[] = []
    const backend = tinyBackend({
      step: async ({ step }) => {
        order.push(`step ${step} begins`)
        await new Promise((resolve) => setImmediate(() => resolve(order.push(`event loop turns in step ${step}`))))
        order.push(`step ${step} ends`)
        return {}
      },
    })
    const { toBatch } = backend
    backend.toBatch = (...args) => {
      order.push('batch')
      return toBatch(...args)
    }
    await train(space.config('out', { maxSteps: 3 }), { backend })
    const of = (step: number): string[] => [`step ${step} begins`, ...(step < 2 ? ['batch'] : []), `event loop turns in step ${step}`, `step ${step} ends`]
    expect(order).to.deep.equal(['batch', ...of(0), ...of(1), ...of(2)])
  })

  it('walks through the states in order', async () => {
    const seen = new Recorder()
    await train(space.config('out', { numEpochs: 1 }), { ...seen, backend: tinyBackend({ validation: 4 }) })
    expect(seen.states).to.deep.equal(['preparing', 'training', 'evaluating', 'training', 'saving', 'training', 'saving', 'training', 'finished'])
    expect(seen.events.map((event) => event.event)).to.deep.equal(['start', 'step', 'step', 'step', 'step', 'step', 'eval', 'checkpoint', 'end'])
  })

  it('leaves the adapter, its papers and checkpoints, and no temporary', async () => {
    const backend = tinyBackend({ validation: 4 })
    await train(space.config('out'), { backend })
    expect((await fs.readdir(space.path('out'))).sort()).to.deep.equal([
      'README.md', 'adapter_config.json', 'adapter_model.safetensors', 'checkpoint-10', 'checkpoint-5', 'ft_config.yaml', 'tokenizer.json', 'trainer_state.json', 'training.log',
    ])
    expect((await fs.readdir(space.path('out', 'checkpoint-10'))).sort()).to.deep.equal([
      'README.md', 'adapter_config.json', 'adapter_model.safetensors', 'ft_config.yaml', 'ft_state.json', 'manifest.json', 'optimizer.safetensors', 'tokenizer.json', 'trainer_state.json',
    ])
    expect(await digests(space.path('out'), /^adapter/)).to.deep.equal(await digests(space.path('out', 'checkpoint-10'), /^adapter/))
    expect(backend.locks).to.equal(0)
    expect(backend.models.every((model) => model.disposed)).to.equal(true)
  })

  it('writes trainer_state.json with the names of transformers', async () => {
    await train(space.config('out', { loggingSteps: 2, warmupSteps: 1 }), { backend: tinyBackend({ validation: 4 }) })
    const state = JSON.parse(await fs.readFile(space.path('out', 'trainer_state.json'), 'utf8')) as Record<string, unknown> & { log_history: Record<string, number>[] }
    expect(state).to.include({ global_step: 10, max_steps: 10, epoch: 2, num_train_epochs: 2, train_batch_size: 2, logging_steps: 2, eval_steps: 5, save_steps: 5, best_model_checkpoint: space.path('out', 'checkpoint-10') })
    expect(state.log_history.filter((entry) => 'loss' in entry).map((entry) => entry.step)).to.deep.equal([2, 4, 6, 8, 10])
    expect(state.log_history.filter((entry) => 'eval_loss' in entry).map((entry) => entry.step)).to.deep.equal([5, 10])
    expect(state.best_metric).to.equal(Math.min(...state.log_history.flatMap((entry) => entry.eval_loss ?? [])))
    expect(state.log_history.at(-1)).to.include.keys('train_loss', 'train_runtime', 'total_flos')
    expect(Object.keys(state)).to.include.members(['num_input_tokens_seen', 'total_flos', 'is_local_process_zero', 'trial_name', 'stateful_callbacks', 'best_global_step'])
  })

  it('gives the same weights for the same seed, others for another', async () => {
    await train(space.config('a'), { backend: tinyBackend() })
    await train(space.config('b'), { backend: tinyBackend() })
    await train(space.config('c', { seed: 7 }), { backend: tinyBackend() })
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((name) => digests(space.path(name, 'checkpoint-10'), stateFiles)))
    expect(a).to.deep.equal(b)
    expect(c).not.to.deep.equal(a)
  })

  it('max_steps ends inside an epoch, and is evaluated and saved', async () => {
    const seen = new Recorder()
    await train(space.config('out', { maxSteps: 3 }), { ...seen, backend: tinyBackend({ validation: 2 }) })
    expect(seen.of('eval').map((event) => event.step)).to.deep.equal([3])
    expect(seen.of('checkpoint').map((event) => event.path)).to.deep.equal([space.path('out', 'checkpoint-3')])
  })

  it('keeps save_total_limit checkpoints and the best one', async () => {
    let evaluations = 0
    const backend = tinyBackend({ validation: 2 })
    const load = backend.loadModel.bind(backend)
    backend.loadModel = async (...args) => {
      const model = await load(...args)
      const losses = [3, 1, 2, 2, 2]
      model.evaluate = () => Promise.resolve({ lossSum: losses[evaluations++] ?? 9, supervisedTokens: 1, tokens: 2 })
      return model
    }
    await train(space.config('out', { numEpochs: 5, saveTotalLimit: 2 }), { backend })
    expect((await fs.readdir(space.path('out'))).filter((name) => name.startsWith('checkpoint')).sort()).to.deep.equal(['checkpoint-10', 'checkpoint-25'])
    const state = JSON.parse(await fs.readFile(space.path('out', 'trainer_state.json'), 'utf8')) as Record<string, unknown>
    expect(state).to.include({ best_metric: 1, best_global_step: 10, best_model_checkpoint: space.path('out', 'checkpoint-10') })
  })

  it('trains all weights into a model folder', async () => {
    await train(space.config('out', { method: 'full' }), { backend: tinyBackend() })
    expect(await fs.readdir(space.path('out'))).to.include.members(['config.json', 'model.safetensors', 'tokenizer.json', 'README.md'])
    expect(await fs.readFile(space.path('out', 'README.md'), 'utf8')).to.include('library_name: transformers')
  })

  it('describes the adapter in its model card', async () => {
    await train(space.config('out'), { backend: tinyBackend({ validation: 2 }) })
    const card = await fs.readFile(space.path('out', 'README.md'), 'utf8')
    expect(card).to.match(/^---\nbase_model: /)
    for (const part of ['library_name: peft', 'PeftModel.from_pretrained', 'ft-native generate', 'learning_rate', 'validation loss', '| lora_alpha | 32 |']) expect(card).to.include(part)
  })
})
