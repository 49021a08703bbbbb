// A run that is stopped anywhere and resumed is the uninterrupted run: same losses, same weights, same log.
import { expect } from 'chai'
import fs from 'node:fs/promises'
import { train, type StepEvent } from '../../../lib/trainers/index.js'
import type { TokenizationConfig, TrainingInput } from '../../../lib/core/config/index.js'
import { tinyBackend, type TinyOptions } from './tiny-engine.js'
import { digests, failsWith, Recorder, stateFiles, Workspace } from './workspace.js'

const options: TinyOptions = { rows: 11, validation: 3 }
const settings: TrainingInput = { gradientAccumulationSteps: 2, numEpochs: 3, saveSteps: 2, evalSteps: 4, loggingSteps: 3 }

interface SavedState {
  progress: { logHistory: Record<string, number>[]; lossSum: number; lastEvalLoss: number | null }
  cursor: unknown
}

describe('resume', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())

  /** Runs until `steps` steps are done, then aborts, as a signal would. */
  async function runUntil(output: string, steps: number, extra: TrainingInput = {}, seen = new Recorder()): Promise<Recorder> {
    const controller = new AbortController()
    const onEvent = (event: Parameters<typeof seen.onEvent>[0]): void => {
      seen.onEvent(event)
      if (event.event === 'step' && event.step === steps) controller.abort()
    }
    await train(space.config(output, { ...settings, ...extra }), { onEvent, onState: seen.onState, signal: controller.signal, backend: tinyBackend(options) })
    return seen
  }
  const resume = async (output: string, extra: TrainingInput = {}, tiny: TinyOptions = options): Promise<Recorder> => {
    const seen = new Recorder()
    await train(space.config(output, { ...settings, resume: true, ...extra }), { ...seen, backend: tinyBackend(tiny) })
    return seen
  }
  const state = async (output: string): Promise<SavedState> =>
    JSON.parse(await fs.readFile(space.path(output, 'checkpoint-9', 'ft_state.json'), 'utf8')) as SavedState
  const numbers = (steps: StepEvent[]) => steps.map(({ step, loss, learning_rate, grad_norm, tokens, epoch }) => ({ step, loss, learning_rate, grad_norm, tokens, epoch }))
  /** log_history without what depends on the clock. */
  const history = async (output: string) =>
    (await state(output)).progress.logHistory.map((entry) => Object.fromEntries(Object.entries(entry).filter(([key]) => !/runtime|per_second/.test(key))))

  for (let steps = 1; steps <= 8; steps++) {
    it(`stopped after step ${steps} of 9`, async () => {
      const whole = new Recorder()
      await train(space.config('whole', settings), { ...whole, backend: tinyBackend(options) })
      const first = await runUntil('parts', steps)
      expect(first.of('end')[0]).to.include({ status: 'interrupted', steps, checkpoint: space.path('parts', `checkpoint-${steps}`) })
      expect(first.states.at(-1)).to.equal('interrupted')
      const second = await resume('parts')
      expect(numbers([...first.steps, ...second.steps])).to.deep.equal(numbers(whole.steps))
      expect(await digests(space.path('parts', 'checkpoint-9'), stateFiles)).to.deep.equal(await digests(space.path('whole', 'checkpoint-9'), stateFiles))
      expect(await digests(space.path('parts'), /^adapter_model/)).to.deep.equal(await digests(space.path('whole'), /^adapter_model/))
      expect(second.of('end')[0]?.train_loss).to.equal(whole.of('end')[0]?.train_loss)
      expect(second.of('end')[0]?.eval_loss).to.equal(whole.of('end')[0]?.eval_loss)
      expect(await history('parts')).to.deep.equal(await history('whole'))
      expect((await state('parts')).cursor).to.deep.equal({ epoch: 3, stepInEpoch: 0 })
    })
  }

  it('evaluates what an interrupt left unevaluated, and saves that', async () => {
    const controller = new AbortController()
    const backend = tinyBackend({ ...options, evaluate: () => controller.abort() })
    await train(space.config('parts', { ...settings, saveSteps: 9 }), { signal: controller.signal, backend })
    expect((await fs.readdir(space.path('parts'))).filter((name) => name.startsWith('checkpoint'))).to.deep.equal(['checkpoint-4'])
    const second = await resume('parts', { saveSteps: 9 })
    expect(second.events.slice(0, 3).map((event) => [event.event, event.event === 'start' ? 0 : 'step' in event ? event.step : 0])).to.deep.equal([['start', 0], ['eval', 4], ['checkpoint', 4]])
  })

  it('goes on from the newest checkpoint after a kill', async () => {
    await runUntil('parts', 5)
    // What a kill during the save of step 5 would have left.
    await fs.rename(space.path('parts', 'checkpoint-5'), space.path('parts', '.tmp-checkpoint-5-77'))
    const second = await resume('parts')
    expect(second.steps[0]?.step).to.equal(5)
    expect(second.of('start')[0]).to.include({ step: 4, resumed_from: space.path('parts', 'checkpoint-4') })
    expect(await fs.readdir(space.path('parts'))).not.to.include('.tmp-checkpoint-5-77')
  })

  it('uses the one before a damaged newest checkpoint', async () => {
    await train(space.config('whole', settings), { backend: tinyBackend(options) })
    await runUntil('parts', 6)
    await fs.truncate(space.path('parts', 'checkpoint-6', 'optimizer.safetensors'), 10)
    const second = await resume('parts')
    expect(second.of('start')[0]?.resumed_from).to.equal(space.path('parts', 'checkpoint-4'))
    expect(await digests(space.path('parts', 'checkpoint-9'), stateFiles)).to.deep.equal(await digests(space.path('whole', 'checkpoint-9'), stateFiles))
    const log = await fs.readFile(space.path('parts', 'training.log'), 'utf8')
    expect(log).to.include('checkpoint-6 is damaged').and.to.include(`going on from ${space.path('parts', 'checkpoint-4')}`)
  })

  it('refuses when every checkpoint is damaged', async () => {
    await runUntil('parts', 3)
    for (const step of [2, 3]) await fs.rm(space.path('parts', `checkpoint-${step}`, 'ft_state.json'))
    const error = await failsWith('FT_CHECKPOINT', 5, resume('parts'))
    expect(error.message).to.include('checkpoint-2').and.include('checkpoint-3').and.include('ft_state.json is missing')
  })

  it('starts at step 0 where nothing was ever saved', async () => {
    expect((await resume('fresh')).steps).to.have.length(9)
    await fs.mkdir(space.path('started'))
    await fs.writeFile(space.path('started', 'training.log'), 'killed before the first save\n')
    await fs.mkdir(space.path('started', '.tmp-checkpoint-2-5'))
    expect((await resume('started')).steps[0]?.step).to.equal(1)
  })

  it('takes a named checkpoint, also of another folder', async () => {
    await train(space.config('whole', settings), { backend: tinyBackend(options) })
    await runUntil('parts', 5)
    const seen = await resume('elsewhere', { resume: space.path('parts', 'checkpoint-4') })
    expect(seen.steps[0]?.step).to.equal(5)
    expect(await digests(space.path('elsewhere', 'checkpoint-9'), stateFiles)).to.deep.equal(await digests(space.path('whole', 'checkpoint-9'), stateFiles))
    const again = await resume('elsewhere-2', { resume: space.path('parts') })
    expect(again.steps[0]?.step).to.equal(6)
    await fs.writeFile(space.path('parts', 'checkpoint-4', 'README.md'), '')
    await failsWith('FT_CHECKPOINT', 5, resume('elsewhere-3', { resume: space.path('parts', 'checkpoint-4') }))
    await failsWith('FT_INVALID_CONFIG', 2, resume('elsewhere-3', { resume: space.path('nowhere') }))
  })

  it('does not leave a second line of the run behind a named checkpoint', async () => {
    await runUntil('parts', 6)
    const named = { resume: space.path('parts', 'checkpoint-4') }
    await failsWith('FT_OUTPUT_EXISTS', 2, resume('parts', named))
    expect(await fs.readdir(space.path('parts'))).to.include('checkpoint-6')
    const seen = await resume('parts', { ...named, force: true })
    expect(seen.steps[0]?.step).to.equal(5)
  })

  it('does not mix two runs in one folder', async () => {
    await runUntil('parts', 4)
    await runUntil('other', 4)
    await failsWith('FT_OUTPUT_EXISTS', 2, resume('other', { resume: space.path('parts') }))
  })

  const changed: [string, TrainingInput, TinyOptions, string][] = [
    ['the seed', { seed: 1 }, options, 'training.seed'],
    ['the data', {}, { ...options, dataSalt: 'other' }, 'training data'],
    ['the batch size', { batchSize: 3 }, options, 'training.batch_size'],
    ['accumulation', { gradientAccumulationSteps: 1 }, options, 'training.gradient_accumulation_steps'],
    ['the learning rate', { learningRate: 0.01 }, options, 'training.learning_rate'],
    ['the schedule', { scheduler: 'linear' }, options, 'training.scheduler'],
    ['the warmup', { warmupSteps: 5 }, options, 'training.warmup'],
    ['weight decay', { weightDecay: 0.1 }, options, 'training.weight_decay'],
    ['clipping', { maxGradNorm: 3 }, options, 'training.max_grad_norm'],
    ['fewer epochs', { numEpochs: 2 }, options, 'steps of the whole run'],
    ['the method', { method: 'full' }, options, 'training.method'],
  ]
  for (const [what, extra, tiny, key] of changed) {
    it(`refuses another value of ${what}, unless forced`, async () => {
      await runUntil('parts', 3)
      const before = await digests(space.path('parts', 'checkpoint-3'))
      const error = await failsWith('FT_RESUME_MISMATCH', 2, resume('parts', extra, tiny))
      expect(error.message).to.include(key)
      expect(await digests(space.path('parts', 'checkpoint-3'))).to.deep.equal(before)
      if (what !== 'the method') expect((await resume('parts', { ...extra, force: true }, tiny)).steps.length).to.be.greaterThan(0)
    })
  }

  it('names what was changed, not what follows from it', async () => {
    await runUntil('parts', 3)
    const named = async (tokenization: Partial<TokenizationConfig>): Promise<string[]> => {
      const config = space.config('parts', { ...settings, resume: true })
      // Rows that are cut elsewhere are other rows.
      const backend = tinyBackend({ ...options, dataSalt: 'cut' })
      const error = await failsWith('FT_RESUME_MISMATCH', 2, train({ ...config, tokenization: { ...config.tokenization, ...tokenization } }, { backend }))
      return (error.details.differences as { key: string }[]).map(({ key }) => key)
    }
    expect(await named({ maxSeqLength: 512 })).to.deep.equal(['tokenization.max_seq_length'])
    expect(await named({ trainOnPrompt: true, maxSeqLength: 512 })).to.deep.equal(['tokenization.max_seq_length', 'tokenization.train_on_prompt'])
    expect(await named({ packing: true })).to.include('training data')
    expect(await named({})).to.deep.equal(['training data'])
  })

  it('refuses another adapter, dtype or base model', async () => {
    await runUntil('parts', 3)
    const again = { ...settings, resume: true }
    const lora = await failsWith('FT_RESUME_MISMATCH', 2, train(space.config('parts', again, { r: 4, loraAlpha: 8, targetModules: ['q_proj'] }), { backend: tinyBackend(options) }))
    for (const key of ['lora.r', 'lora.lora_alpha', 'lora.target_modules']) expect(lora.message).to.include(key)
    const config = space.config('parts', again)
    const dtype = await failsWith('FT_RESUME_MISMATCH', 2, train({ ...config, model: { ...config.model, dtype: 'bf16' } }, { backend: tinyBackend(options) }))
    expect(dtype.message).to.match(/model\.dtype +fp32 +bf16/)
    await fs.writeFile(space.path('model', 'model.safetensors'), Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{}'), Buffer.alloc(4096, 8)]))
    expect((await failsWith('FT_RESUME_MISMATCH', 2, resume('parts'))).message).to.include('model weights')
  })

  it('checks before the weights are loaded', async () => {
    await runUntil('parts', 3)
    let loads = 0
    await failsWith('FT_RESUME_MISMATCH', 2, resume('parts', { seed: 1 }, { ...options, loadModel: () => void (loads += 1) }))
    expect(loads).to.equal(0)
  })

  it('gives chat templates the date of the first start', async () => {
    const dates: (Date | undefined)[] = []
    const backend = () => {
      const tiny = tinyBackend(options)
      const prepare = tiny.prepareData.bind(tiny)
      tiny.prepareData = async (given) => {
        dates.push(given.now)
        return { ...(await prepare(given)), templateDate: (given.now ?? new Date('2024-05-06T07:08:09.000Z')).toISOString() }
      }
      return tiny
    }
    await train(space.config('out', { maxSteps: 2 }), { backend: backend() })
    await train(space.config('out', { maxSteps: 3, resume: true }), { backend: backend() })
    expect(dates).to.deep.equal([undefined, new Date('2024-05-06T07:08:09.000Z')])
  })

  it('may be made longer, and says what that does to the schedule', async () => {
    await train(space.config('parts', settings), { backend: tinyBackend(options) })
    const longer = await resume('parts', { numEpochs: 5 })
    expect(longer.steps.map(({ step }) => step)).to.deep.equal([10, 11, 12, 13, 14, 15])
    expect(await fs.readFile(space.path('parts', 'training.log'), 'utf8')).to.match(/the run is now 15 steps long, it was 9: the cosine schedule spans the new length, so step 10 has learning rate/)
  })

  it('a finished run that is resumed writes its result again', async () => {
    await train(space.config('parts', settings), { backend: tinyBackend(options) })
    const before = await digests(space.path('parts'), /^adapter/)
    await fs.rm(space.path('parts', 'adapter_model.safetensors'))
    const seen = await resume('parts')
    expect(seen.steps).to.have.length(0)
    expect(seen.of('end')[0]).to.include({ status: 'finished', steps: 9 })
    expect(await digests(space.path('parts'), /^adapter/)).to.deep.equal(before)
  })

  it('what may change without changing the numbers is let through', async () => {
    await runUntil('parts', 3)
    const seen = await resume('parts', { saveSteps: 1, evalSteps: 1, saveTotalLimit: 9, onNan: 'skip:3', threads: 1 }, { ...options, environment: { threads: 9 } })
    expect(seen.steps[0]?.step).to.equal(4)
    expect(await fs.readFile(space.path('parts', 'training.log'), 'utf8')).to.include('another environment (threads undefined → 9)')
  })
})
