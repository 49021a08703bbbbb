// Methods, objectives and what plugins build from them; the dry run; how rows become steps.
import { expect } from 'chai'
import fs from 'node:fs/promises'
import os from 'node:os'
import { ConfigBuilder } from '../../../lib/core/config/index.js'
import { defineTrainer, fromLogprobs, LoRATrainer, train, TrainerFactory, type LogprobLoss } from '../../../lib/trainers/index.js'
import { StepBatches } from '../../../lib/trainers/batches.js'
import { countSupervised } from '../../../lib/trainers/objectives/index.js'
import { cursorAt, dueAfter, epochAt, planRun } from '../../../lib/trainers/run-plan.js'
import { tinyBackend, tinyBatch, tinyPlan, tinyRows } from './tiny-engine.js'
import { digests, failsWith, Recorder, stateFiles, Workspace } from './workspace.js'

/** Mean cross-entropy, as the fused objective computes it. */
const crossEntropy: LogprobLoss = (logprobs, batch, { supervisedTokens }) => {
  const gradient = logprobs.map((value) => (value === 0 ? 0 : -1 / supervisedTokens))
  return { loss: -logprobs.reduce((sum, value) => sum + value, 0) / supervisedTokens, gradient }
}

describe('training methods', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())

  const startFolder = async (): Promise<string> => {
    await train(space.config('first'), { backend: tinyBackend() })
    const settings = { r: 8, loraAlpha: 16, loraDropout: 0.1, targetModules: ['q_proj', 'v_proj'], rankPattern: {}, alphaPattern: {}, useRslora: false }
    await fs.writeFile(space.path('first', 'adapter_config.json'), JSON.stringify(settings))
    return space.path('first')
  }

  it('full refuses weights in fewer bits before any is read', async () => {
    let loads = 0
    const backend = tinyBackend({ loadModel: () => void (loads += 1) })
    const inspect = backend.inspectModel.bind(backend)
    backend.inspectModel = async (source, options) => ({ ...(await inspect(source, options)), quantization: 'bitsandbytes 4-bit' })
    const error = await failsWith('FT_INCOMPATIBLE_CONFIG', 2, train(space.config('full', { method: 'full' }), { backend }))
    expect(error.message).to.include('bitsandbytes 4-bit')
    expect(loads).to.equal(0)
    await train(space.config('lora'), { backend })
  })

  it('lora starts from an adapter: its options count, dropout may be set', async () => {
    const adapter = await startFolder()
    const seen: unknown[] = []
    const backend = tinyBackend()
    const attach = backend.attachAdapter.bind(backend)
    backend.attachAdapter = (model, source, settings, start) => {
      seen.push([settings, start])
      return attach(model, source, settings, start)
    }
    await train(space.config('a', { adapter }), { backend })
    expect(seen[0]).to.deep.equal([{ r: 8, loraAlpha: 16, loraDropout: 0.1, targetModules: ['q_proj', 'v_proj'], rankPattern: {}, alphaPattern: {}, useRslora: false }, { seed: 42, from: adapter }])
    await train(space.config('b', { adapter }, { r: 8, loraDropout: 0, targetModules: ['v_proj', 'q_proj'] }), { backend })
    expect(seen[1]).to.have.nested.property('[0].loraDropout', 0)
    await train(space.config('b2', { adapter, maxSteps: 1 }, { targetModules: 'all-linear' }), { backend })
    await train(space.config('c'), { backend })
    const [first, fresh] = await Promise.all(['a', 'c'].map((name) => digests(space.path(name, 'checkpoint-5'), stateFiles)))
    expect(first).not.to.deep.equal(fresh)
  })

  it('another explicit value than the adapter has is refused', async () => {
    const adapter = await startFolder()
    for (const [lora, key] of [[{ r: 4 }, 'lora.r'], [{ loraAlpha: 99 }, 'lora.lora_alpha'], [{ targetModules: ['q_proj'] }, 'lora.target_modules']] as const) {
      const error = await failsWith('FT_INCOMPATIBLE_CONFIG', 2, train(space.config('x', { adapter }, { ...lora, ...('targetModules' in lora ? { targetModules: [...lora.targetModules] } : {}) }), { backend: tinyBackend() }))
      expect(error.message).to.include(key).and.include(adapter)
    }
    await fs.rm(space.path('first', 'adapter_model.safetensors'))
    await failsWith('FT_ADAPTER', 3, train(space.config('x', { adapter }), { backend: tinyBackend() }))
  })

  it('an objective over log-probabilities gives the same run as the fused one', async () => {
    const Trainer = defineTrainer({ name: 'lora', objective: fromLogprobs('sft', crossEntropy) })
    const [ours, fused] = [new Recorder(), new Recorder()]
    const backend = (): ReturnType<typeof tinyBackend> => {
      const tiny = tinyBackend()
      // Without the noise that stands for dropout.
      const create = tiny.createOptimizer.bind(tiny)
      tiny.createOptimizer = async (model, config) => {
        const optimizer = await create(model, config)
        const step = optimizer.step.bind(optimizer)
        optimizer.step = (batches, settings) => step(batches.map(({ rowIds: _ids, ...batch }) => batch), { ...settings, seed: 1, step: 0 })
        return optimizer
      }
      return tiny
    }
    await new Trainer(space.config('a', { gradientAccumulationSteps: 2 }), { ...ours, backend: backend() }).train()
    await train(space.config('b', { gradientAccumulationSteps: 2 }), { ...fused, backend: backend() })
    expect(ours.steps).to.have.length(6)
    expect(ours.steps.map(({ tokens, supervised_tokens }) => [tokens, supervised_tokens])).to.deep.equal(fused.steps.map(({ tokens, supervised_tokens }) => [tokens, supervised_tokens]))
    // The first step is the same up to the noise on gradients; AdamW's first updates do not see their scale.
    expect(ours.steps[0]?.loss).to.be.closeTo(fused.steps[0]?.loss ?? 0, 1e-6)
    expect(ours.steps[1]?.loss).to.be.closeTo(fused.steps[1]?.loss ?? 0, 1e-6)
  })

  it('an objective that returns NaN, or a gradient of another length, is stopped', async () => {
    const nan = defineTrainer({ name: 'lora', objective: fromLogprobs('nan', (logprobs) => ({ loss: Number.NaN, gradient: logprobs })) })
    await failsWith('FT_NOT_FINITE', 7, new nan(space.config('a'), { backend: tinyBackend() }).train())
    const short = defineTrainer({ name: 'lora', objective: fromLogprobs('short', () => ({ loss: 1, gradient: new Float32Array(1) })) })
    await failsWith('FT_TRAINING', 1, new short(space.config('b'), { backend: tinyBackend() }).train())
  })

  it('a trainer takes a complete configuration only', async () => {
    for (const config of [undefined, null, {}, { training: { method: 'lora' } }]) {
      const error = await failsWith('FT_INVALID_CONFIG', 2, (async () => await train(config as never))())
      expect(error.remedy).to.include('ConfigBuilder')
      await failsWith('FT_INVALID_CONFIG', 2, (async () => await new LoRATrainer(config as never).train())())
    }
  })

  it('a registered trainer is valid in the configuration and is used', async () => {
    let made = 0
    const Base = defineTrainer({ name: 'halved', objective: fromLogprobs('halved', crossEntropy) })
    class Halved extends Base {
      override train() {
        made += 1
        return super.train()
      }
    }
    TrainerFactory.register('halved', Halved)
    const config = new ConfigBuilder().withModel(space.model).withDataset('d.jsonl').withTraining('halved', space.path('out'), { maxSteps: 2 }).build()
    const seen = new Recorder()
    await train(config, { ...seen, backend: tinyBackend() })
    expect(made).to.equal(1)
    expect(seen.of('start')[0]?.method).to.equal('halved')
    expect(TrainerFactory.names()).to.include.members(['lora', 'full', 'halved'])
    expect(() => TrainerFactory.register('halved', Halved)).to.throw(/already registered/)
    await failsWith('FT_RESUME_MISMATCH', 2, train(space.config('out', { maxSteps: 2, resume: true }), { backend: tinyBackend() }))
  })
})

describe('the dry run', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())

  it('steps, saves, resumes, and leaves nothing', async () => {
    const seen = new Recorder()
    const temporaries = async (): Promise<string[]> => (await fs.readdir(os.tmpdir())).filter((name) => name.startsWith('ft-native-dry-run-'))
    const before = await temporaries()
    const files: string[] = []
    const result = await train(space.config('out'), { ...seen, dryRun: true, backend: tinyBackend({ save: (file) => void files.push(file) }) })
    expect(seen.events.map((event) => event.event)).to.deep.equal(['start', 'step', 'step', 'end'])
    expect(seen.of('end')[0]).to.include({ dry_run: true, status: 'finished' })
    expect(result.estimatedSeconds).to.be.greaterThan(0)
    expect(files.filter((file) => file.endsWith('optimizer.safetensors'))).to.have.length(2)
    expect(await fs.readdir(space.root)).to.deep.equal(['model'])
    expect(await temporaries()).to.deep.equal(before)
  })

  it('uses the longest rows', async () => {
    const rows = tinyRows(30, 'x')
    const longest = new StepBatches({ planEpoch: tinyPlan, toBatch: tinyBatch }, rows, { batchSize: 4, accumulation: 1, shuffle: true, seed: 3 }).longest()
    const lengths = rows.map((row) => row.inputIds.length).sort((a, b) => b - a)
    expect(longest.inputIds.length).to.equal(lengths.slice(0, 4).reduce((sum, length) => sum + length, 0))
  })

  it('sees state that does not survive a resume', async () => {
    const backend = tinyBackend()
    const create = backend.createOptimizer.bind(backend)
    backend.createOptimizer = async (model, config) => {
      const optimizer = await create(model, config)
      optimizer.load = () => Promise.resolve()
      let saves = 0
      const save = optimizer.save.bind(optimizer)
      optimizer.save = async (file) => {
        await save(file)
        if (++saves === 2) await fs.appendFile(file, ' ')
      }
      return optimizer
    }
    const error = await failsWith('FT_CHECKPOINT', 5, train(space.config('out'), { dryRun: true, backend }))
    expect(error.message).to.include('optimizer.safetensors')
  })

  it('meets what the real run would meet', async () => {
    await train(space.config('out', { maxSteps: 1 }), { backend: tinyBackend() })
    await failsWith('FT_OUTPUT_EXISTS', 2, train(space.config('out'), { dryRun: true, backend: tinyBackend() }))
    await failsWith('FT_NOT_FINITE', 7, train(space.config('new'), { dryRun: true, backend: tinyBackend({ step: () => ({ applied: false, skipped: 'loss_not_finite', loss: Number.NaN }) }) }))
  })
})

describe('the plan of a run', () => {
  it('counts steps as epochs of whole and partial batches', () => {
    const stepsPerEpoch = (count: number, batchSize: number, accumulation: number): number =>
      new StepBatches({ planEpoch: tinyPlan, toBatch: tinyBatch }, tinyRows(count, 'x'), { batchSize, accumulation, shuffle: true, seed: 3 }).stepsPerEpoch
    expect([stepsPerEpoch(10, 2, 1), stepsPerEpoch(11, 2, 4), stepsPerEpoch(1, 8, 1)]).to.deep.equal([5, 2, 1])
    expect(planRun({ stepsPerEpoch: 5, numEpochs: 3 })).to.deep.equal({ stepsPerEpoch: 5, maxSteps: 15, numEpochs: 3 })
    expect(planRun({ stepsPerEpoch: 1, numEpochs: 2 })).to.deep.equal({ stepsPerEpoch: 1, maxSteps: 2, numEpochs: 2 })
    expect(planRun({ stepsPerEpoch: 5, numEpochs: 3, maxSteps: 7 })).to.deep.equal({ stepsPerEpoch: 5, maxSteps: 7, numEpochs: 2 })
  })

  it('knows what is due', () => {
    const plan = { stepsPerEpoch: 5, maxSteps: 12, numEpochs: 3 }
    const due = (cadence: Parameters<typeof dueAfter>[2], what: 'log' | 'save' | 'evaluate'): number[] => Array.from({ length: 12 }, (_, i) => i + 1).filter((step) => dueAfter(step, plan, cadence)[what])
    expect(due({ loggingSteps: 1 }, 'save')).to.deep.equal([5, 10, 12])
    expect(due({ loggingSteps: 5, saveSteps: 4, evalSteps: 6 }, 'save')).to.deep.equal([4, 8, 12])
    expect(due({ loggingSteps: 5, saveSteps: 4, evalSteps: 6 }, 'evaluate')).to.deep.equal([6, 12])
    expect(due({ loggingSteps: 5 }, 'log')).to.deep.equal([5, 10, 12])
    expect(cursorAt(7, plan)).to.deep.equal({ epoch: 1, stepInEpoch: 2 })
    expect(epochAt(12, plan)).to.be.closeTo(2.4, 1e-12)
  })

  it('every epoch has every row once, and a row keeps its place in the step whatever the micro-batches', () => {
    const rows = tinyRows(11, 'plan')
    const seen = (batchSize: number, accumulation: number) => {
      const batches = new StepBatches({ planEpoch: tinyPlan, toBatch: tinyBatch }, rows, { batchSize, accumulation, shuffle: true, seed: 3 })
      return Array.from({ length: 2 * batches.stepsPerEpoch }, (_, step) => {
        const step0 = batches.at(step)
        const pairs = step0.flatMap((batch) =>
          Array.from(batch.rowIds ?? [], (id, row) => `${id}:${[...batch.inputIds.slice(batch.cuSeqlens[row], batch.cuSeqlens[row + 1])].join()}`))
        return pairs.sort()
      })
    }
    expect(seen(4, 1)).to.deep.equal(seen(1, 4))
    expect(seen(4, 1)).to.deep.equal(seen(2, 2))
    const epoch = seen(4, 1).slice(0, 3).flat().map((pair) => pair.split(':')[1]).sort()
    expect(epoch).to.deep.equal(rows.map((row) => [...row.inputIds].join()).sort())
  })

  it('counts supervised tokens as labels after the first of a row', () => {
    const batch = { inputIds: new Int32Array(5), labels: Int32Array.from([1, 2, -100, 4, 5]), cuSeqlens: Int32Array.from([0, 3, 5]) }
    expect(countSupervised(batch)).to.equal(2)
    expect(countSupervised({ inputIds: new Int32Array(5), cuSeqlens: Int32Array.from([0, 5]) })).to.equal(0)
  })
})
