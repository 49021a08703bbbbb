// What goes wrong during a run: losses that are not finite, disks that are full, folders in use, memory that is short.
// Each ends with its typed error, its exit code, and everything that was good before still there.
import { expect } from 'chai'
import fs from 'node:fs/promises'
import path from 'node:path'
import { makeError } from '../../../lib/core/errors/index.js'
import type { TrainingInput } from '../../../lib/core/config/index.js'
import type { Batch } from '../../../lib/trainers/engine.js'
import { train, type StepOutcome } from '../../../lib/trainers/index.js'
import { parseOnNan } from '../../../lib/trainers/step-policy.js'
import { tinyBackend, type TinyOptions } from './tiny-engine.js'
import { digests, failsWith, failure, Recorder, stateFiles, Workspace } from './workspace.js'

/** As the engine: no backward, no norm. */
const bad: Partial<StepOutcome> = { loss: Number.NaN, gradNorm: Number.NaN, applied: false, skipped: 'loss_not_finite' }
const overflow: Partial<StepOutcome> = { gradNorm: Number.POSITIVE_INFINITY, applied: false, skipped: 'loss_scale_overflow', lossScale: 1024 }

/** A backend whose steps (counted from 1) have another outcome. */
function outcomes(at: (step: number) => Partial<StepOutcome> | undefined, options: TinyOptions = {}) {
  return tinyBackend({ ...options, step: ({ step }) => at(step + 1) ?? {} })
}

describe('a step that is not finite', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())

  it('stops the run with the state of the step before it', async () => {
    const seen = new Recorder()
    const error = await failsWith('FT_NOT_FINITE', 7, train(space.config('out'), { ...seen, backend: outcomes((step) => (step === 4 ? bad : undefined)) }))
    expect(error.message).to.include('step 4').and.include(space.path('out', 'checkpoint-3')).and.include('NaN')
    expect(seen.steps.at(-1)).to.include({ step: 4, loss: null, grad_norm: null, skipped: 'loss_not_finite' })
    expect(seen.states.at(-1)).to.equal('failed')
    expect(JSON.parse(JSON.stringify(seen.steps.at(-1)))).to.have.property('loss', null)

    const whole = await train(space.config('whole'), { backend: tinyBackend() })
    await train(space.config('out', { resume: true }), { backend: tinyBackend() })
    expect(await digests(space.path('out', 'checkpoint-10'), stateFiles)).to.deep.equal(await digests(space.path('whole', 'checkpoint-10'), stateFiles))
    expect(whole.skippedSteps).to.equal(0)
  })

  it('in the first step leaves no run behind', async () => {
    const error = await failsWith('FT_NOT_FINITE', 7, train(space.config('out'), { backend: outcomes(() => bad) }))
    expect(error.message).to.include('nothing was trained')
    expect(await fs.readdir(space.path('out'))).to.deep.equal(['ft_config.yaml', 'training.log'])
    expect((await train(space.config('out'), { backend: tinyBackend() })).steps).to.equal(10)
  })

  it('a gradient norm that is not finite stops it too', async () => {
    const error = await failsWith('FT_NOT_FINITE', 7, train(space.config('out'), { backend: outcomes((step) => (step === 2 ? { ...bad, loss: 1, skipped: 'gradient_not_finite' } : undefined)) }))
    expect(error.message).to.include('gradient norm is not finite')
  })

  it('skip:N goes on over N of them and counts', async () => {
    const seen = new Recorder()
    const config = space.config('out', { onNan: 'skip:2' })
    const result = await train(config, { ...seen, backend: outcomes((step) => (step === 3 || step === 7 ? bad : undefined)) })
    expect(result).to.include({ steps: 10, skippedSteps: 2, status: 'finished' })
    expect(seen.steps.filter((event) => event.skipped !== undefined).map(({ step, skipped_steps }) => [step, skipped_steps])).to.deep.equal([[3, 1], [7, 2]])
    const finite = seen.steps.flatMap((event) => event.loss ?? [])
    expect(result.trainLoss).to.be.closeTo(finite.reduce((sum, loss) => sum + loss, 0) / 8, 1e-12)
    await failsWith('FT_NOT_FINITE', 7, train(space.config('more', { onNan: 'skip:2' }), { backend: outcomes((step) => (step % 3 === 0 ? bad : undefined)) }))
    expect(await fs.readdir(space.path('more'))).to.include('checkpoint-8')
  })

  it('fp16 overflows are skipped and reported, and end the run after 20 in a row', async () => {
    const seen = new Recorder()
    const fp16 = (output: string, epochs: number) => {
      const config = space.config(output, { numEpochs: epochs })
      return { ...config, model: { ...config.model, dtype: 'fp16' as const } }
    }
    const result = await train(fp16('a', 4), { ...seen, backend: outcomes((step) => (step < 20 ? overflow : undefined)) })
    expect(result).to.include({ steps: 20, skippedSteps: 19 })
    expect(seen.steps[0]).to.include({ skipped: 'loss_scale_overflow', loss_scale: 1024 })
    const error = await failsWith('FT_NOT_FINITE', 7, train(fp16('b', 5), { backend: outcomes((step) => (step > 2 ? overflow : undefined)) }))
    expect(error.message).to.include('20 steps in a row')
  })

  it('the policy is checked', () => {
    expect(parseOnNan('stop')).to.deep.equal({ allowed: 0 })
    expect(parseOnNan('skip:12')).to.deep.equal({ allowed: 12 })
    for (const text of ['skip', 'skip:0', 'skip:-1', 'skip:x', '', 'go']) expect(() => parseOnNan(text)).to.throw(/on_nan/)
  })
})

describe('storage and folders', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())
  const full = (): never => {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
  }

  it('a disk that fills up during a save leaves the checkpoints before it and no temporary', async () => {
    let saves = 0
    const backend = tinyBackend({ save: (file) => (file.endsWith('optimizer.safetensors') && ++saves === 2 ? full() : undefined) })
    await failsWith('FT_STORAGE', 5, train(space.config('out', { saveSteps: 3 }), { backend }))
    expect((await fs.readdir(space.path('out'))).sort()).to.deep.equal(['checkpoint-3', 'ft_config.yaml', 'training.log'])
    await train(space.config('whole', { saveSteps: 3 }), { backend: tinyBackend() })
    await train(space.config('out', { saveSteps: 3, resume: true }), { backend: tinyBackend() })
    expect(await digests(space.path('out', 'checkpoint-10'), stateFiles)).to.deep.equal(await digests(space.path('whole', 'checkpoint-10'), stateFiles))
    expect(await fs.readFile(space.path('out', 'training.log'), 'utf8')).to.include('FT_STORAGE')
  })

  it('a disk that fills up while the result is written leaves no half of it', async () => {
    const backend = tinyBackend({ save: (file) => (file.includes('.tmp-final') ? full() : undefined) })
    await failsWith('FT_STORAGE', 5, train(space.config('out', { saveTotalLimit: 1 }), { backend }))
    expect((await fs.readdir(space.path('out'))).sort()).to.deep.equal(['checkpoint-10', 'ft_config.yaml', 'training.log'])
  })

  it('a folder that holds a run is refused, overwritten or continued', async () => {
    await train(space.config('out'), { backend: tinyBackend() })
    const before = await digests(space.path('out'))
    let loads = 0
    const error = await failsWith('FT_OUTPUT_EXISTS', 2, train(space.config('out'), { backend: tinyBackend({ loadModel: () => void (loads += 1) }) }))
    expect(error.remedy).to.include('--resume').and.include('--overwrite')
    expect(loads).to.equal(0)
    expect(await digests(space.path('out'))).to.deep.equal(before)
    // Weights without a checkpoint are a run as well.
    for (const name of await fs.readdir(space.path('out'))) if (name.startsWith('checkpoint')) await fs.rm(space.path('out', name), { recursive: true })
    await failsWith('FT_OUTPUT_EXISTS', 2, train(space.config('out'), { backend: tinyBackend() }))
    await failsWith('FT_CHECKPOINT', 5, train(space.config('out', { resume: true }), { backend: tinyBackend() }))
    await fs.writeFile(space.path('out', 'mine.txt'), 'not a file of the run')
    await train(space.config('out', { overwrite: true, maxSteps: 2 }), { backend: tinyBackend() })
    expect((await fs.readdir(space.path('out'))).filter((name) => name.startsWith('checkpoint'))).to.deep.equal(['checkpoint-2'])
    expect(await fs.readdir(space.path('out'))).to.include('mine.txt')
  })

  it('overwrite removes nothing before the new run can start', async () => {
    await train(space.config('out'), { backend: tinyBackend() })
    const before = await digests(space.path('out', 'checkpoint-10'))
    const broken = tinyBackend({ loadModel: () => { throw makeError('FT_MISSING_SHARD', 'a shard is missing', { remedy: 'copy it' }) } })
    await failsWith('FT_MISSING_SHARD', 3, train(space.config('out', { overwrite: true }), { backend: broken }))
    expect(await digests(space.path('out', 'checkpoint-10'))).to.deep.equal(before)
  })

  it('the output cannot be the folder of the model', async () => {
    const config = space.config('model', { overwrite: true })
    await failsWith('FT_INVALID_CONFIG', 2, train(config, { backend: tinyBackend() }))
    await fs.symlink(space.model, space.path('link'))
    await failsWith('FT_INVALID_CONFIG', 2, train(space.config('link', { overwrite: true }), { backend: tinyBackend() }))
    expect(await fs.readdir(space.model)).to.include('model.safetensors')
  })

  it('a folder in use ends with exit 6, one that cannot be written with exit 5', async () => {
    await failsWith('FT_OUTPUT_LOCKED', 6, train(space.config('out'), { backend: tinyBackend({ locked: true }) }))
    await fs.writeFile(space.path('file'), 'text')
    await failsWith('FT_STORAGE', 5, train(space.config('file'), { backend: tinyBackend() }))
    await failsWith('FT_STORAGE', 5, train(space.config('file/sub'), { backend: tinyBackend() }))
    const config = space.config('x')
    await failsWith('FT_STORAGE', 5, train({ ...config, training: { ...config.training, outputDir: '/proc/ft-native-test' } }, { backend: tinyBackend() }))
  })

  it('a start that fails leaves no folder it made, and releases the lock', async () => {
    const backend = tinyBackend()
    backend.prepareData = () => Promise.reject(makeError('FT_EMPTY_DATASET', 'no rows', { remedy: 'add rows' }))
    await failsWith('FT_EMPTY_DATASET', 3, train(space.config('out/deep'), { backend }))
    expect(backend.locks).to.equal(0)
    expect((await fs.readdir(space.path('out', 'deep'))).filter((name) => name !== 'training.log')).to.deep.equal([])
  })

  it('an interrupt before the first step trains and saves nothing', async () => {
    const controller = new AbortController()
    const seen = new Recorder()
    const backend = tinyBackend({ loadModel: () => controller.abort() })
    const load = backend.loadModel.bind(backend)
    backend.loadModel = async (...args) => {
      await load(...args)
      throw makeError('FT_CANCELLED', 'the operation was cancelled')
    }
    expect((await failure(train(space.config('out'), { ...seen, signal: controller.signal, backend }))).code).to.equal('FT_CANCELLED')
    expect(seen.states.at(-1)).to.equal('interrupted')
    expect((await fs.readdir(space.path('out'))).filter((name) => name.startsWith('checkpoint'))).to.deep.equal([])
  })
})

describe('memory', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())

  it('a run that cannot fit is refused before its weights are read, with the cheapest change that fits', async () => {
    let loads = 0
    const refused = async (memory: number, training: TrainingInput = {}) => {
      const options = { memory, loadModel: () => void (loads += 1) }
      return await failsWith('FT_OUT_OF_MEMORY', 8, train(space.config('out', training), { backend: tinyBackend(options) }))
    }
    // The longest two rows have 15 tokens and take 5396 bytes, one of 8 takes 3856; with both layers computed again 2396 and 2256.
    const error = await refused(4000, { gradientCheckpointing: false })
    expect(error.message).to.include('this run needs about').and.include('weights').and.include('activations')
    expect(error.details).to.include({ needBytes: 5396, availableBytes: 4000, change: '--batch-size 1 --gradient-accumulation-steps 2' })
    expect(error.remedy).to.include('--batch-size 1 --gradient-accumulation-steps 2 fits')
    expect((await refused(2500, { gradientCheckpointing: false })).details['change']).to.equal('--gradient-checkpointing')
    expect((await refused(2300, { gradientCheckpointing: false })).details['change']).to.equal('--batch-size 1 --gradient-accumulation-steps 2 --gradient-checkpointing')
    expect((await refused(2300, { batchSize: 1, method: 'full' })).details['change']).to.equal('--method lora')
    expect((await refused(2000)).remedy).to.include('no change of settings makes it fit')
    expect(loads).to.equal(0)
    await train(space.config('out', { force: true }), { backend: tinyBackend({ memory: 2000 }) })
  })

  it('auto computes as few layers again as memory needs', async () => {
    const chosen = async (output: string, memory: number): Promise<unknown> => {
      const seen = new Recorder()
      await train(space.config(output), { ...seen, backend: tinyBackend({ memory }) })
      return seen.of('start')[0]?.checkpointed_layers
    }
    expect(await chosen('much', 1e9)).to.equal(0)
    expect(await chosen('less', 5000)).to.equal(1)
    expect(await chosen('little', 3000)).to.equal(2)
    expect(await fs.readFile(space.path('less', 'training.log'), 'utf8')).to.include('gradient checkpointing on for 1 of 2 layers (auto)')
    const seen = new Recorder()
    await train(space.config('asked', { gradientCheckpointing: 1 }), { ...seen, backend: tinyBackend() })
    expect(seen.of('start')[0]).to.include({ gradient_checkpointing: true, checkpointed_layers: 1 })
  })

  describe('auto_batch', () => {
    const limit = (rows: number) => (batches: Batch[]) => {
      if (batches.some((batch) => batch.cuSeqlens.length - 1 > rows)) throw makeError('FT_OUT_OF_MEMORY', 'cannot allocate 3 GiB')
    }
    const settings = { batchSize: 5, gradientAccumulationSteps: 1, autoBatch: true, numEpochs: 2, saveSteps: 1 }

    it('a step that runs out of memory is taken again in smaller pieces; no step and no row is lost', async () => {
      const [whole, seen] = [new Recorder(), new Recorder()]
      await train(space.config('whole', settings), { ...whole, backend: tinyBackend() })
      await train(space.config('out', settings), { ...seen, backend: tinyBackend({ batches: limit(2) }) })
      expect(seen.of('auto_batch').map(({ step, batch_size, gradient_accumulation_steps, reason }) => ({ step, batch_size, gradient_accumulation_steps, reason }))).to.deep.equal([
        { step: 1, batch_size: 2, gradient_accumulation_steps: 3, reason: 'out_of_memory' },
      ])
      expect(seen.steps.map(({ step, loss, grad_norm, tokens }) => ({ step, loss, grad_norm, tokens }))).to.deep.equal(whole.steps.map(({ step, loss, grad_norm, tokens }) => ({ step, loss, grad_norm, tokens })))
      expect(await digests(space.path('out'), stateFiles)).to.deep.equal(await digests(space.path('whole'), stateFiles))
    })

    it('a resumed run divides its steps as it did before', async () => {
      await train(space.config('out', { ...settings, maxSteps: 2 }), { backend: tinyBackend({ batches: limit(1) }) })
      const seen = new Recorder()
      const sizes: number[] = []
      await train(space.config('out', { ...settings, maxSteps: 4, resume: true }), { ...seen, backend: tinyBackend({ batches: (batches) => void sizes.push(...batches.map((batch) => batch.cuSeqlens.length - 1)) }) })
      expect(seen.of('start')[0]).to.include({ batch_size: 1, gradient_accumulation_steps: 5, step: 2 })
      expect(new Set(sizes)).to.deep.equal(new Set([1]))
      expect(seen.of('auto_batch')).to.deep.equal([])
    })

    it('begins with what the estimate says fits, and ends where a single row does not', async () => {
      const seen = new Recorder()
      await train(space.config('out', { ...settings, gradientCheckpointing: false }), { ...seen, backend: tinyBackend({ memory: 5700 }) })
      expect(seen.of('start')[0]).to.include({ batch_size: 2, gradient_accumulation_steps: 3 })
      expect(seen.of('auto_batch')[0]).to.include({ step: 1, reason: 'estimate', need_bytes: 5396, available_bytes: 5700 })
      const error = await failsWith('FT_OUT_OF_MEMORY', 8, train(space.config('never', settings), { backend: tinyBackend({ batches: limit(0) }) }))
      expect(error.message).to.include('step 1').and.include('cannot allocate 3 GiB')
    })
  })

  it('the engine running out of memory is explained, and the last checkpoint stays', async () => {
    const backend = tinyBackend({ step: ({ step }) => { if (step === 4) throw makeError('FT_OUT_OF_MEMORY', 'cannot allocate 3 GiB'); return {} } })
    const error = await failsWith('FT_OUT_OF_MEMORY', 8, train(space.config('out', { saveSteps: 2 }), { backend }))
    expect(error.message).to.include('step 5').and.include('cannot allocate 3 GiB')
    expect(error.details).to.include({ availableBytes: 1e9, needBytes: 5396 })
    for (const way of ['--auto-batch', '--gradient-checkpointing', '--max-seq-length']) expect(error.remedy).to.include(way)
    expect(await fs.readdir(path.join(space.path('out')))).to.include('checkpoint-4')
  })
})
