// D1, D2: whatever moment a process dies at, resuming gives the uninterrupted run bit for bit.
import { expect } from 'chai'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { verifyManifest } from '../../lib/trainers/checkpoints/manifest.js'
import { CheckpointStore } from '../../lib/trainers/checkpoints/store.js'
import { checkpointsIn, checkpointState, compileShim, eventsOf, finalWeights, runTrain, Scratch, trainedEvents } from './support.js'

type State = Record<string, unknown>

describe('kill -9 and resume', function () {
  this.timeout(240_000)
  let scratch: Scratch
  /** State after each saved step of an uninterrupted run, and its final weights. */
  const reference = new Map<number, State>()
  let finals: Record<string, string>
  let losses: unknown[]

  const numbers = (events: State[]): unknown[] => events.filter((event) => event.event === 'step').map(({ step, loss, grad_norm, learning_rate, tokens }) => ({ step, loss, grad_norm, learning_rate, tokens }))

  before(async () => {
    scratch = await Scratch.create()
    losses = numbers(await trainedEvents(scratch.args('whole', '--save-total-limit', '99')))
    for (const name of await checkpointsIn(scratch.path('whole'))) reference.set(Number(name.slice(11)), await checkpointState(scratch.path('whole', name)))
    finals = await finalWeights(scratch.path('whole'))
    expect([...reference.keys()]).to.deep.equal([2, 4, 6, 8])
  })
  after(() => scratch.remove())

  /** Resumes in `output` and compares everything with the uninterrupted run. */
  async function expectSameEnd(output: string): Promise<State[]> {
    const events = await trainedEvents(scratch.args(output, '--resume'))
    expect(await checkpointState(scratch.path(output, 'checkpoint-8'))).to.deep.equal(reference.get(8))
    expect(await finalWeights(scratch.path(output))).to.deep.equal(finals)
    expect((await fs.readdir(scratch.path(output))).filter((name) => /^\.(tmp|old|del)-/.test(name))).to.deep.equal([])
    return events
  }

  it('a run is deterministic', async () => {
    expect(numbers(await trainedEvents(scratch.args('again')))).to.deep.equal(losses)
    expect(await checkpointState(scratch.path('again', 'checkpoint-8'))).to.deep.equal(reference.get(8))
    expect(await checkpointsIn(scratch.path('again'))).to.have.length(2)
  })

  it('at random moments, again and again', async () => {
    const output = scratch.path('random')
    for (let round = 0; round < 6; round++) {
      const result = await runTrain(scratch.args('random', '--resume'), { onStart: (child) => killAfterSteps(child, 1 + (round % 3), round * 7) })
      if (result.code === 0) break
      expect(result.signal, result.stderr).to.equal('SIGKILL')
      for (const name of await checkpointsIn(output)) {
        const verdict = await verifyManifest(path.join(output, name))
        expect(verdict.usable, name).to.equal(true)
        expect(await checkpointState(path.join(output, name)), name).to.deep.equal(reference.get(Number(name.slice(11))))
      }
    }
    await expectSameEnd('random')
  })

  it('at every single change that a run makes to its folder', async function () {
    const shim = compileShim(scratch.root)
    if (shim === null) return this.skip()
    const snapshots = scratch.path('snapshots')
    await fs.mkdir(snapshots)
    const env = { LD_PRELOAD: shim, FT_FAULT_DIR: scratch.path('watched'), FT_FAULT_MODE: 'snapshot', FT_FAULT_SNAPSHOTS: snapshots }
    await trainedEvents(scratch.args('watched'), { env })
    const names = (await fs.readdir(snapshots)).sort()
    expect(names.length, 'changes seen').to.be.greaterThan(100)
    let newest = 0
    const resumable = new Map<string, string>()
    for (const name of names) {
      newest = await checkSnapshot(path.join(snapshots, name), newest)
      resumable.set(await treeDigest(path.join(snapshots, name)), name)
    }
    expect(newest).to.equal(8)
    // Different states only; a spread of them is resumed to the end.
    const distinct = [...resumable.values()]
    const chosen = Array.from({ length: 8 }, (_, index) => distinct[Math.floor(((distinct.length - 1) * index) / 7)] ?? '')
    for (const name of new Set(chosen)) {
      await fs.rm(scratch.path('restored'), { recursive: true, force: true })
      await fs.rename(path.join(snapshots, name), scratch.path('restored'))
      await expectSameEnd('restored')
    }
  })

  /** What a resume would find: never a damaged checkpoint, never less than before. Returns the newest step. */
  async function checkSnapshot(folder: string, atLeast: number): Promise<number> {
    const label = path.basename(folder)
    // On a copy, the folder itself is resumed later.
    const copy = `${folder}-checked`
    await fs.cp(folder, copy, { recursive: true })
    try {
      const store = new CheckpointStore(copy)
      await store.clean()
      const { checkpoint, damaged } = await store.newestUsable()
      expect(damaged, label).to.deep.equal([])
      expect(checkpoint?.step ?? 0, label).to.be.at.least(atLeast)
      if (checkpoint !== null) expect(await checkpointState(checkpoint.path), label).to.deep.equal(reference.get(checkpoint.step))
      const top: string[] = await fs.readdir(copy).catch(() => [])
      // An adapter that can be loaded is the final one.
      if (top.includes('adapter_config.json')) expect(await finalWeights(copy), label).to.deep.equal(finals)
      return checkpoint?.step ?? 0
    } finally {
      await fs.rm(copy, { recursive: true, force: true })
    }
  }

  it('full fine-tuning in bf16 too', async () => {
    const args = (output: string, ...more: string[]): string[] => [...scratch.args(output, '--method', 'full', '--dtype', 'bf16', '--learning-rate', '1e-3'), ...more]
    await trainedEvents(args('full-whole'))
    const result = await runTrain(args('full-parts'), { onStart: (child) => killAfterSteps(child, 5, 0) })
    expect(result.signal, result.stderr).to.equal('SIGKILL')
    await trainedEvents(args('full-parts', '--resume'))
    expect(await checkpointState(scratch.path('full-parts', 'checkpoint-8'))).to.deep.equal(await checkpointState(scratch.path('full-whole', 'checkpoint-8')))
    expect(await finalWeights(scratch.path('full-parts'))).to.deep.equal(await finalWeights(scratch.path('full-whole')))
  })

  it('a killed process leaves its lock to nobody', async () => {
    const result = await runTrain(scratch.args('locked'), { onStart: (child) => killAfterSteps(child, 3, 0) })
    expect(result.signal).to.equal('SIGKILL')
    expect(eventsOf(result).some((event) => event.event === 'checkpoint')).to.equal(true)
    await expectSameEnd('locked')
  })
})

/** SIGKILL some milliseconds after the nth step event on stdout. */
function killAfterSteps(child: ChildProcess, steps: number, milliseconds: number): void {
  let seen = 0
  child.stdout?.on('data', (chunk: Buffer) => {
    seen += chunk.toString().split('"event":"step"').length - 1
    if (seen >= steps) setTimeout(() => child.kill('SIGKILL'), milliseconds)
  })
}

async function treeDigest(folder: string): Promise<string> {
  const hash = createHash('sha256')
  const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  for (const entry of entries.sort((a, b) => (path.join(a.parentPath, a.name) < path.join(b.parentPath, b.name) ? -1 : 1))) {
    const file = path.join(entry.parentPath, entry.name)
    if (entry.name === 'training.log') continue
    hash.update(`${path.relative(folder, file)}\n`)
    if (entry.isFile()) hash.update(await fs.readFile(file))
  }
  return hash.digest('hex')
}
