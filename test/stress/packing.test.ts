// Packing on the real engine: it changes which rows share a micro-batch, and no number; and it survives a kill.
import { expect } from 'chai'
import type { ChildProcess } from 'node:child_process'
import fs from 'node:fs/promises'
import { checkpointState, eventsOf, finalWeights, runTrain, Scratch, trainedEvents } from './support.js'

describe('a packed run', function () {
  this.timeout(120_000)
  let scratch: Scratch
  before(async () => (scratch = await Scratch.create()))
  after(() => scratch.remove())

  const steps = (events: Record<string, unknown>[]) => events.filter((event) => event.event === 'step')
  /** Windows of 48 tokens hold three or four of the 16 rows left to train on. */
  const packed = (output: string, ...more: string[]): string[] => scratch.args(output, '--packing', '--max-seq-length', '48', '--batch-size', '1', '--epochs', '4', ...more)

  it('has the losses and gradients of its rows one by one', async () => {
    const shared = ['--gradient-accumulation-steps', '1', '--lora-dropout', '0', '--epochs', '4', '--save-steps', '99']
    // All rows are one step: in one window, as one micro-batch of rows, and row by row.
    const together = steps(await trainedEvents(scratch.args('window', ...shared, '--packing', '--max-seq-length', '1024', '--batch-size', '1')))
    const rows = steps(await trainedEvents(scratch.args('rows', ...shared, '--batch-size', '16')))
    const alone = steps(await trainedEvents(scratch.args('alone', ...shared, '--batch-size', '1', '--gradient-accumulation-steps', '16')))
    expect(together).to.have.length(4)
    for (const other of [rows, alone]) {
      expect(other).to.have.length(4)
      for (const [index, step] of together.entries()) {
        expect(step).to.deep.include({ tokens: other[index]?.tokens, supervised_tokens: other[index]?.supervised_tokens })
        expect(step.loss).to.be.closeTo(Number(other[index]?.loss), 1e-5)
        expect(step.grad_norm).to.be.closeTo(Number(other[index]?.grad_norm), 1e-4 * Number(other[index]?.grad_norm))
      }
    }
  })

  it('takes fewer steps, and resumes bit for bit after a kill', async () => {
    const events = await trainedEvents(packed('whole'))
    const { steps_per_epoch: perEpoch, max_steps: all } = events[0] as { steps_per_epoch: number; max_steps: number }
    expect(perEpoch).to.be.within(2, 3)
    expect(all).to.equal(4 * perEpoch)
    const tokens = steps(events).map((step) => Number(step.tokens))
    // A step is two windows, the last of an epoch may be one.
    expect(Math.max(...tokens)).to.be.within(49, 96)
    for (let epoch = 0; epoch < 4; epoch++) {
      const sum = (from: number): number => tokens.slice(from * perEpoch, (from + 1) * perEpoch).reduce((total, count) => total + count, 0)
      expect(sum(epoch)).to.equal(sum(0))
    }
    const result = await runTrain(packed('parts'), { onStart: (child) => killAfterStep(child, 5) })
    expect(result.signal, result.stderr).to.equal('SIGKILL')
    await trainedEvents(packed('parts', '--resume'))
    const last = `checkpoint-${all}`
    expect(await checkpointState(scratch.path('parts', last))).to.deep.equal(await checkpointState(scratch.path('whole', last)))
    expect(await finalWeights(scratch.path('parts'))).to.deep.equal(await finalWeights(scratch.path('whole')))
  })

  it('evaluates packed rows to the same loss', async () => {
    const args = ['--max-steps', '1', '--eval-steps', '1', '--learning-rate', '1e-9', '--validation-ratio', '0.5']
    const evaluation = async (...more: string[]) => (await trainedEvents(scratch.args('eval', '--overwrite', ...args, ...more))).find((event) => event.event === 'eval')
    const [plain, together] = [await evaluation(), await evaluation('--packing', '--max-seq-length', '64')]
    expect(together).to.deep.include({ eval_rows: plain?.eval_rows, eval_supervised_tokens: plain?.eval_supervised_tokens })
    expect(together?.eval_loss).to.be.closeTo(Number(plain?.eval_loss), 1e-5)
  })

  it('cuts long rows as without packing, and rehearses its fullest windows', async () => {
    const short = ['--allow-truncation', '--max-seq-length', '13', '--save-steps', '99']
    const tokensOf = async (output: string, ...more: string[]): Promise<number> => {
      const all = steps(await trainedEvents(scratch.args(output, '--epochs', '1', ...short, ...more)))
      return all.reduce((sum, step) => sum + Number(step.tokens), 0)
    }
    expect(await tokensOf('cut', '--packing')).to.equal(await tokensOf('cut-rows'))
    const rehearsal = steps(await trainedEvents(packed('rehearsed', '--dry-run', '--batch-size', '2')))
    expect(Number(rehearsal[0]?.tokens)).to.be.within(80, 96)
    expect(await fs.readdir(scratch.root)).not.to.include('rehearsed')
  })

  it('is not resumed without, nor the other way round', async () => {
    const result = await runTrain(scratch.args('whole', '--max-seq-length', '48', '--batch-size', '1', '--epochs', '4', '--resume'))
    expect(result.code).to.equal(2)
    expect(eventsOf(result).at(-1)).to.include({ event: 'error', code: 'FT_RESUME_MISMATCH' })
    expect(result.stderr).to.match(/tokenization\.packing +true +false/)
  })
})

function killAfterStep(child: ChildProcess, step: number): void {
  child.stdout?.on('data', (chunk: Buffer) => {
    if (chunk.toString().includes(`"event":"step","step":${step},`)) child.kill('SIGKILL')
  })
}
