// D5: SIGINT and SIGTERM save at the next step and end with 130 and 143; a second signal does not wait for the step.
import { expect } from 'chai'
import type { ChildProcess } from 'node:child_process'
import { checkpointsIn, checkpointState, eventsOf, makeModelFolder, makeRows, runTrain, Scratch, trainedEvents } from './support.js'

describe('signals', function () {
  this.timeout(120_000)
  let scratch: Scratch
  before(async () => (scratch = await Scratch.create()))
  after(() => scratch.remove())

  const onEvent = (child: ChildProcess, event: string, count: number, act: () => void): void => {
    let seen = 0
    child.stdout?.on('data', (chunk: Buffer) => {
      const before = seen
      seen += chunk.toString().split(`"event":"${event}"`).length - 1
      if (before < count && seen >= count) act()
    })
  }

  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
    it(`${signal} saves and ends with ${code}; the run goes on as if nothing had happened`, async () => {
      const result = await runTrain(scratch.args(signal, '--save-steps', '100'), { onStart: (child) => onEvent(child, 'step', 2, () => child.kill(signal)) })
      expect(result.code, result.stderr).to.equal(code)
      const events = eventsOf(result)
      const steps = events.filter((event) => event.event === 'step').length
      expect(events.at(-1)).to.include({ event: 'end', status: 'interrupted', steps })
      expect(steps).to.be.within(2, 7)
      expect(await checkpointsIn(scratch.path(signal))).to.deep.equal([`checkpoint-${steps}`])
      await trainedEvents(scratch.args(signal, '--save-steps', '100', '--resume'))
      await trainedEvents(scratch.args(`${signal}-whole`, '--save-steps', '100'))
      expect(await checkpointState(scratch.path(signal, 'checkpoint-8'))).to.deep.equal(await checkpointState(scratch.path(`${signal}-whole`, 'checkpoint-8')))
    })
  }

  it('a second signal leaves within two seconds, in the middle of a long step', async () => {
    await makeModelFolder(scratch.path('large'), { hidden_size: 512, intermediate_size: 2048, num_hidden_layers: 12, num_attention_heads: 8, num_key_value_heads: 8, head_dim: 64 })
    await makeRows(scratch.path('long.jsonl'), 64, 1000)
    let signalled = 0
    const args = scratch.args('slow', '--batch-size', '32', '--validation-ratio', '0').map((word) => (word === scratch.model ? scratch.path('large') : word === scratch.data ? scratch.path('long.jsonl') : word))
    const result = await runTrain(args, {
      onStart: (child) => onEvent(child, 'start', 1, () => {
        setTimeout(() => child.kill('SIGINT'), 300)
        setTimeout(() => {
          signalled = performance.now()
          child.kill('SIGINT')
        }, 800)
      }),
    })
    const waited = performance.now() - signalled
    expect(eventsOf(result).filter((event) => event.event === 'step'), 'the step must be too long to have ended').to.have.length(0)
    expect(waited).to.be.lessThan(2000)
    expect(result.code ?? result.signal, result.stderr).to.be.oneOf([130, 'SIGINT'])
  })
})
