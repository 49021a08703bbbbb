// The train command with the real engine: a plugin's trainer, the dry run, losses that are not finite, fp16, a start
// adapter, and `--resume` without anything else.
import { expect } from 'chai'
import fs from 'node:fs/promises'
import path from 'node:path'
import { root } from '../unit/support/cli.js'
import { checkpointsIn, checkpointState, eventsOf, finalWeights, runTrain, Scratch, trainedEvents } from './support.js'

describe('ft-native train with the engine', function () {
  this.timeout(120_000)
  let scratch: Scratch
  before(async () => (scratch = await Scratch.create()))
  after(() => scratch.remove())

  it('writes events, an adapter folder and papers', async () => {
    const events = await trainedEvents(scratch.args('plain', '--scheduler', 'linear', '--warmup-ratio', '0'))
    const steps = events.filter((event) => event.event === 'step')
    expect(steps.map(({ step }) => step)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8])
    for (const step of steps) {
      expect(step.learning_rate).to.be.closeTo(5e-3 * (1 - (Number(step.step) - 1) / 8), 1e-12)
      for (const field of ['loss', 'grad_norm', 'tokens', 'supervised_tokens', 'seconds', 'tokens_per_second']) expect(step[field], field).to.be.a('number')
      expect('eta_seconds' in step).to.equal(Number(step.step) >= 3)
    }
    expect(events[0]).to.include({ event: 'start', train_rows: 16, validation_rows: 4 })
    expect(events.at(-1)).to.include({ event: 'end', status: 'finished', steps: 8, output: scratch.path('plain') })
    expect(await fs.readdir(scratch.path('plain'))).to.include.members([
      'adapter_config.json', 'adapter_model.safetensors', 'README.md', 'trainer_state.json', 'ft_config.yaml', 'training.log', 'tokenizer.json', 'tokenizer_config.json',
    ])
    const adapter = JSON.parse(await fs.readFile(scratch.path('plain', 'adapter_config.json'), 'utf8')) as Record<string, unknown>
    expect(adapter).to.include({ peft_type: 'LORA', r: 4, lora_alpha: 32, lora_dropout: 0.1, base_model_name_or_path: scratch.model })
  })

  it('learns: the loss of the rows falls', async () => {
    const events = await trainedEvents(scratch.args('learns', '--epochs', '15', '--learning-rate', '2e-2', '--lora-dropout', '0'))
    const losses = events.filter((event) => event.event === 'step').map((event) => Number(event.loss))
    expect(losses.at(-1)).to.be.lessThan((losses[0] ?? 0) * 0.8)
  })

  it('a trainer of a plugin runs, and resumes', async () => {
    const plugin = ['--plugin', path.join(root, 'examples/custom-trainer.mjs'), '--method', 'focal_lora', '--save-steps', '3']
    const whole = await trainedEvents(scratch.args('focal-whole', ...plugin))
    expect(whole[0]).to.include({ event: 'start', method: 'focal_lora' })
    const plain = await trainedEvents(scratch.args('focal-plain', '--save-steps', '3'))
    const first = (events: Record<string, unknown>[]) => Number(events.find((event) => event.event === 'step')?.loss)
    // The focal loss of badly predicted tokens is just below their cross-entropy.
    expect(first(whole)).to.be.within(first(plain) * 0.9, first(plain))
    await fs.cp(scratch.path('focal-whole'), scratch.path('focal-parts'), { recursive: true })
    for (const name of await fs.readdir(scratch.path('focal-parts'))) if (name !== 'checkpoint-6') await fs.rm(scratch.path('focal-parts', name), { recursive: true })
    await trainedEvents(scratch.args('focal-parts', ...plugin, '--resume'))
    expect(await checkpointState(scratch.path('focal-parts', 'checkpoint-8'))).to.deep.equal(await checkpointState(scratch.path('focal-whole', 'checkpoint-8')))
    const unknown = await runTrain(scratch.args('focal-none', '--method', 'focal_lora'))
    expect(unknown.code).to.equal(2)
  })

  it('the dry run leaves nothing', async () => {
    const before = await fs.readdir(scratch.root)
    const events = await trainedEvents(scratch.args('rehearsed', '--dry-run'))
    expect(events.at(-1)).to.include({ event: 'end', dry_run: true })
    expect(events.at(-1)?.estimated_seconds).to.be.greaterThan(0)
    expect(await fs.readdir(scratch.root)).to.deep.equal(before)
    const full = await trainedEvents(scratch.args('rehearsed', '--dry-run', '--method', 'full', '--dtype', 'bf16'))
    expect(full.at(-1)).to.include({ event: 'end', dry_run: true })
  })

  it('a gradient that is not finite ends with 7 and the last good state', async () => {
    const args = (output: string, ...more: string[]): string[] =>
      scratch.args(output, '--method', 'full', '--learning-rate', '1000', '--max-grad-norm', '0', '--scheduler', 'constant', '--validation-ratio', '0', '--save-steps', '100', ...more)
    const result = await runTrain(args('exploded'))
    expect(result.code, result.stderr).to.equal(7)
    const events = eventsOf(result)
    const bad = events.filter((event) => event.event === 'step').at(-1)
    expect(bad).to.have.property('skipped')
    expect(events.at(-1)).to.include({ event: 'error', code: 'FT_NOT_FINITE' })
    const kept = await checkpointsIn(scratch.path('exploded'))
    expect(kept).to.deep.equal([`checkpoint-${Number(bad?.step) - 1}`])
    const skipping = await runTrain(args('skipped', '--on-nan', 'skip:100'))
    expect(skipping.code, skipping.stderr).to.equal(0)
    expect(Number(eventsOf(skipping).at(-1)?.skipped_steps)).to.be.greaterThan(0)
  })

  it('fp16 trains and resumes', async () => {
    await trainedEvents(scratch.args('half', '--dtype', 'fp16', '--save-total-limit', '9'))
    const whole = await checkpointState(scratch.path('half', 'checkpoint-8'))
    for (const name of ['checkpoint-6', 'checkpoint-8', 'adapter_model.safetensors']) await fs.rm(scratch.path('half', name), { recursive: true })
    const events = await trainedEvents(scratch.args('half', '--dtype', 'fp16', '--save-total-limit', '9', '--resume'))
    expect(events[0]).to.include({ step: 4 })
    expect(await checkpointState(scratch.path('half', 'checkpoint-8'))).to.deep.equal(whole)
  })

  it('starts from an adapter, whose options count', async () => {
    await trainedEvents(scratch.args('origin', '--target-modules', 'q_proj,v_proj'))
    const from = scratch.args('onward', '--adapter', scratch.path('origin')).filter((word, index, all) => word !== '--lora-r' && all[index - 1] !== '--lora-r')
    const events = await trainedEvents(from)
    expect(events[0]).to.include({ event: 'start' })
    const config = JSON.parse(await fs.readFile(scratch.path('onward', 'adapter_config.json'), 'utf8')) as { r: number; target_modules: string[] }
    expect(config.r).to.equal(4)
    expect([...config.target_modules].sort()).to.deep.equal(['q_proj', 'v_proj'])
    const conflict = await runTrain([...from.map((word) => word.replace('onward', 'conflict')), '--lora-r', '8'])
    expect(conflict.code).to.equal(2)
    expect(conflict.stderr).to.include('lora.r')
  })

  it('--resume with the folder alone goes on', async () => {
    await trainedEvents(scratch.args('alone', '--save-total-limit', '9'))
    const [whole, finals] = [await checkpointState(scratch.path('alone', 'checkpoint-8')), await finalWeights(scratch.path('alone'))]
    for (const name of ['checkpoint-6', 'checkpoint-8', 'adapter_model.safetensors']) await fs.rm(scratch.path('alone', name), { recursive: true })
    const result = await runTrain(['train', '--resume', scratch.path('alone'), '--json'])
    expect(result.code, result.stderr).to.equal(0)
    expect(await checkpointState(scratch.path('alone', 'checkpoint-8'))).to.deep.equal(whole)
    expect(await finalWeights(scratch.path('alone'))).to.deep.equal(finals)
  })
})
