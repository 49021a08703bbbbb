// load_best_model_at_end: the result is the checkpoint with the lowest evaluation loss, or a typed error.
import { expect } from 'chai'
import fs from 'node:fs/promises'
import { trainingSummary } from '../../../lib/cli/training-view.js'
import { train } from '../../../lib/trainers/index.js'
import type { TrainingInput } from '../../../lib/core/config/index.js'
import { tinyBackend, type TinyBackend } from './tiny-engine.js'
import { digests, failsWith, Recorder, Workspace } from './workspace.js'

/** A backend whose evaluations, in order of the steps they follow, give these losses. */
function judged(losses: number[]): TinyBackend {
  const backend = tinyBackend({ validation: 2 })
  const load = backend.loadModel.bind(backend)
  let evaluations = 0
  backend.loadModel = async (...args) => {
    const model = await load(...args)
    model.evaluate = () => Promise.resolve({ lossSum: losses[evaluations++] ?? 99, supervisedTokens: 1, tokens: 2 })
    return model
  }
  return backend
}

describe('load_best_model_at_end', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())

  const best: TrainingInput = { loadBestModelAtEnd: true, numEpochs: 4 }
  const weights = async (...parts: string[]) => (await digests(space.path(...parts), /^(adapter_)?model\.safetensors$/))
  const state = async (output: string) => JSON.parse(await fs.readFile(space.path(output, 'trainer_state.json'), 'utf8')) as Record<string, unknown>
  const checkpoints = async (output: string) => (await fs.readdir(space.path(output))).filter((name) => name.startsWith('checkpoint')).sort()

  for (const method of ['lora', 'full'] as const) {
    it(`ends with the weights of the best checkpoint, which survives save_total_limit (${method})`, async () => {
      const result = await train(space.config('out', { ...best, method, saveTotalLimit: 1 }), { backend: judged([3, 1, 2, 2]) })
      expect(await checkpoints('out')).to.deep.equal(['checkpoint-10', 'checkpoint-20'])
      expect(await weights('out')).to.deep.equal(await weights('out', 'checkpoint-10'))
      expect(await weights('out')).not.to.deep.equal(await weights('out', 'checkpoint-20'))
      expect(trainingSummary(space.config('out', { ...best, method }), result).at(-1)).to.equal(
        `The ${method === 'full' ? 'model' : 'adapter'} is in ${space.path('out')}, with the weights of checkpoint-10: the lowest validation loss`,
      )
      const named = { best_metric: 1, best_global_step: 10, best_model_checkpoint: space.path('out', 'checkpoint-10') }
      expect(await state('out')).to.include({ ...named, global_step: 20 })
      expect(result).to.include({ bestMetric: 1, bestModelCheckpoint: named.best_model_checkpoint, steps: 20 })
      expect(await fs.readFile(space.path('out', 'training.log'), 'utf8')).to.include('the result is checkpoint-10')
    })
  }

  it('is off by default: the last step is the result', async () => {
    await train(space.config('out', { ...best, loadBestModelAtEnd: false }), { backend: judged([3, 1, 2, 2]) })
    expect(await weights('out')).to.deep.equal(await weights('out', 'checkpoint-20'))
  })

  it('needs nothing when the last step is the best', async () => {
    await train(space.config('out', best), { backend: judged([3, 2, 1, 0.5]) })
    expect(await weights('out')).to.deep.equal(await weights('out', 'checkpoint-20'))
  })

  it('saves a best evaluation between two saves', async () => {
    await train(space.config('out', { ...best, numEpochs: 2, evalSteps: 2, saveSteps: 4, saveTotalLimit: 9 }), { backend: judged([5, 4, 1, 3, 2]) })
    expect(await checkpoints('out')).to.deep.equal(['checkpoint-10', 'checkpoint-2', 'checkpoint-4', 'checkpoint-6', 'checkpoint-8'])
    expect(await state('out')).to.include({ best_model_checkpoint: space.path('out', 'checkpoint-6') })
    expect(await weights('out')).to.deep.equal(await weights('out', 'checkpoint-6'))
  })

  /** Two epochs whose best is the first, then stopped in the third. */
  async function interrupted(output: string, after = 12): Promise<void> {
    const controller = new AbortController()
    const onEvent = (event: { event: string; step?: number }): void => {
      if (event.event === 'step' && event.step === after) controller.abort()
    }
    await train(space.config(output, best), { onEvent, signal: controller.signal, backend: judged([1, 2]) })
  }

  it('a resumed run ends with the best of both parts', async () => {
    await interrupted('out')
    expect(await fs.readdir(space.path('out'))).not.to.include('adapter_model.safetensors')
    await train(space.config('out', { ...best, resume: true }), { backend: judged([3, 3]) })
    expect(await weights('out')).to.deep.equal(await weights('out', 'checkpoint-5'))
    await interrupted('better')
    await train(space.config('better', { ...best, resume: true }), { backend: judged([0.5, 3]) })
    expect(await weights('better')).to.deep.equal(await weights('better', 'checkpoint-15'))
  })

  it('a finished run that is resumed writes the best again', async () => {
    await train(space.config('out', best), { backend: judged([3, 1, 2, 2]) })
    await fs.rm(space.path('out', 'adapter_model.safetensors'))
    await train(space.config('out', { ...best, resume: true }), { backend: judged([]) })
    expect(await weights('out')).to.deep.equal(await weights('out', 'checkpoint-10'))
  })

  it('a run that goes on in another folder takes the best checkpoint along', async () => {
    await interrupted('parts')
    await train(space.config('else', { ...best, resume: space.path('parts', 'checkpoint-12') }), { backend: judged([3, 3]) })
    expect(await digests(space.path('else', 'checkpoint-5'), /^(?!manifest)/)).to.deep.equal(await digests(space.path('parts', 'checkpoint-5'), /^(?!manifest)/))
    expect(await weights('else')).to.deep.equal(await weights('parts', 'checkpoint-5'))
    expect(await state('else')).to.include({ best_model_checkpoint: space.path('else', 'checkpoint-5') })
  })

  it('may be asked for when a run is resumed, and left out', async () => {
    await interrupted('out')
    const seen = new Recorder()
    await train(space.config('out', { ...best, loadBestModelAtEnd: false, resume: true }), { ...seen, backend: judged([3, 3]) })
    expect(seen.steps[0]?.step).to.equal(13)
    expect(await weights('out')).to.deep.equal(await weights('out', 'checkpoint-20'))
  })

  it('refuses to resume when the best checkpoint is damaged or gone, before the weights are read', async () => {
    await interrupted('out')
    await fs.appendFile(space.path('out', 'checkpoint-5', 'README.md'), 'x')
    const resumed = { ...best, resume: true }
    const backend = judged([3, 3])
    expect((await failsWith('FT_CHECKPOINT', 5, train(space.config('out', resumed), { backend }))).message).to.include('checkpoint-5').and.include('README.md')
    await fs.rm(space.path('out', 'checkpoint-5'), { recursive: true })
    await failsWith('FT_CHECKPOINT', 5, train(space.config('out', resumed), { backend }))
    expect(backend.models).to.have.length(0)
    await train(space.config('out', { ...resumed, loadBestModelAtEnd: false }), { backend })
  })

  it('refuses data without validation rows, before the weights are read', async () => {
    const backend = tinyBackend()
    const error = await failsWith('FT_INCOMPATIBLE_CONFIG', 2, train(space.config('out', best), { backend }))
    expect(error.message).to.include('no rows are held out')
    expect(backend.models).to.have.length(0)
  })

  it('fails where no evaluation loss is finite', async () => {
    await failsWith('FT_NOT_FINITE', 7, train(space.config('out', best), { backend: judged([Number.NaN, Number.NaN, Number.NaN, Number.NaN]) }))
    expect(await fs.readdir(space.path('out'))).not.to.include('adapter_model.safetensors')
  })
})
