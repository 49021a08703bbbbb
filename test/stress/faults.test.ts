// D3, D4, D6, D7: damaged files, failing disks, two writers and changed inputs, through the command line.
import { expect } from 'chai'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs/promises'
import path from 'node:path'
import { cliMain, root, runNode } from '../unit/support/cli.js'
import { checkpointsIn, checkpointState, compileShim, eventsOf, finalWeights, runTrain, Scratch, trainedEvents } from './support.js'

describe('a run among faults', function () {
  this.timeout(120_000)
  let scratch: Scratch
  let reference: Record<string, unknown>

  before(async () => {
    scratch = await Scratch.create()
    await trainedEvents(scratch.args('whole', '--save-total-limit', '99'))
    reference = await checkpointState(scratch.path('whole', 'checkpoint-8'))
  })
  after(() => scratch.remove())

  /** A run that stopped after step 4, with checkpoints 2 and 4. */
  async function stoppedRun(output: string): Promise<string> {
    const folder = scratch.path(output)
    await fs.cp(scratch.path('whole'), folder, { recursive: true })
    for (const name of await fs.readdir(folder)) if (!/^checkpoint-[24]$/.test(name)) await fs.rm(path.join(folder, name), { recursive: true })
    return folder
  }

  it('a damaged newest checkpoint is named, and the one before it is used', async () => {
    const folder = await stoppedRun('damaged')
    const files = await fs.readdir(path.join(folder, 'checkpoint-4'))
    expect(files).to.include.members(['optimizer.safetensors', 'ft_state.json', 'adapter_model.safetensors', 'manifest.json'])
    for (const [index, name] of ['optimizer.safetensors', 'adapter_model.safetensors', 'manifest.json'].entries()) {
      const output = `damaged-${index}`
      const file = path.join(await stoppedRun(output), 'checkpoint-4', name)
      const bytes = await fs.readFile(file)
      if (index === 1) await fs.writeFile(file, bytes.subarray(0, bytes.length - 1))
      else {
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 4
        await fs.writeFile(file, bytes)
      }
      const result = await runTrain(scratch.args(output, '--resume'))
      expect(result.code, result.stderr).to.equal(0)
      expect(result.stderr).to.include('checkpoint-4').and.include('is damaged').and.include(scratch.path(output, 'checkpoint-2'))
      expect(eventsOf(result)[0]).to.include({ event: 'start', step: 2, resumed_from: scratch.path(output, 'checkpoint-2') })
      expect(await checkpointState(scratch.path(output, 'checkpoint-8'))).to.deep.equal(reference)
    }
  })

  it('all damaged: a typed error that names each', async () => {
    const folder = await stoppedRun('all-damaged')
    for (const step of [2, 4]) await fs.truncate(path.join(folder, `checkpoint-${step}`, 'adapter_model.safetensors'), 100)
    const result = await runTrain(scratch.args('all-damaged', '--resume'))
    expect(result.code).to.equal(5)
    expect(eventsOf(result).at(-1)).to.include({ event: 'error', code: 'FT_CHECKPOINT' })
    expect(result.stderr).to.include('checkpoint-2').and.include('checkpoint-4')
  })

  it('a write that fails anywhere leaves the older checkpoints, no temporary, and exit 5', async function () {
    const shim = compileShim(scratch.root)
    if (shim === null) return this.skip()
    const fault = (output: string, at: number, errno: number) => ({ LD_PRELOAD: shim, FT_FAULT_DIR: scratch.path(output), FT_FAULT_MODE: 'error', FT_FAULT_AT: String(at), FT_FAULT_ERRNO: String(errno) })
    let failures = 0
    for (const [index, at] of [3, 12, 31, 58, 83, 117, 150].entries()) {
      const output = `failing-${at}`
      const folder = await stoppedRun(output)
      const result = await runTrain(scratch.args(output, '--resume'), { env: fault(output, at, index % 2 === 0 ? 28 : 5) })
      if (result.code === 0) continue // an fsync of a folder may be refused; later points may lie behind the end
      failures += 1
      expect(result.code, `change ${at}: ${result.stderr}`).to.equal(5)
      expect(result.stderr, `change ${at}`).to.match(/ENOSPC|EIO|No space|Input\/output/)
      const left = await fs.readdir(folder)
      expect(left.filter((name) => /^\.(tmp|old)-/.test(name)), `change ${at}`).to.deep.equal([])
      const kept = await checkpointsIn(folder)
      expect(kept.length, `change ${at}`).to.be.at.least(2)
      for (const name of kept) expect(await checkpointState(path.join(folder, name)), `change ${at}, ${name}`).to.deep.equal(await checkpointState(scratch.path('whole', name)))
      await trainedEvents(scratch.args(output, '--resume'))
      expect(await checkpointState(path.join(folder, 'checkpoint-8')), `change ${at}`).to.deep.equal(reference)
    }
    expect(failures).to.be.at.least(4)
  })

  it('a file size limit is a storage error, not a dead process', async function () {
    if (!has('prlimit')) return this.skip()
    const folder = await stoppedRun('limited')
    const args = [process.execPath, cliMain(), ...scratch.args('limited', '--resume')]
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, FT_NATIVE_ADDON: path.join(root, 'build/Release/ft_native.node') }
    const result = await runNode(['-e', `process.exitCode = require('node:child_process').spawnSync('prlimit', ['--fsize=8192', ...${JSON.stringify(args)}], { stdio: 'inherit' }).status ?? 99`], { env })
    expect(result.code, result.stderr).to.equal(5)
    expect(eventsOf(result).at(-1)).to.include({ event: 'error', code: 'FT_STORAGE' })
    expect(await checkpointsIn(folder)).to.deep.equal(['checkpoint-2', 'checkpoint-4'])
    expect((await fs.readdir(folder)).filter((name) => name.startsWith('.tmp'))).to.deep.equal([])
  })

  it('a second writer is sent away with the name of the first', async () => {
    const first = runTrain(scratch.args('shared', '--epochs', '400', '--save-steps', '1000'), {
      onStart: (child) => {
        child.stdout?.once('data', () => {
          void runTrain(scratch.args('shared', '--resume')).then((result) => {
            second = result
            firstId = child.pid
            child.kill('SIGTERM')
          })
        })
      },
    })
    let second: Awaited<typeof first> | undefined
    let firstId: number | undefined
    const result = await first
    expect(second?.code, second?.stderr).to.equal(6)
    expect(second?.stderr).to.include('FT_OUTPUT_LOCKED').and.include(String(firstId))
    expect(result.code).to.equal(143)
  })

  it('changed inputs are refused with a table, more epochs are not', async () => {
    await stoppedRun('changed')
    const other = scratch.path('other.jsonl')
    await fs.writeFile(other, (await fs.readFile(scratch.data, 'utf8')).replace('10', '11'))
    for (const [flags, key] of [[['--seed', '7'], 'training.seed'], [['--lora-r', '8'], 'lora.r'], [['--data', other], 'training data'], [['--dtype', 'bf16'], 'model.dtype']] as const) {
      const result = await runTrain(scratch.args('changed', '--resume', ...flags))
      expect(result.code, result.stderr).to.equal(2)
      expect(eventsOf(result).at(-1)).to.include({ event: 'error', code: 'FT_RESUME_MISMATCH' })
      expect(result.stderr).to.include(key).and.include('--force')
    }
    const longer = await trainedEvents(scratch.args('changed', '--resume', '--epochs', '3'))
    expect(longer.at(-1)).to.include({ event: 'end', steps: 12 })
    const forced = await runTrain(scratch.args('changed', '--resume', '--epochs', '4', '--seed', '7', '--force'))
    expect(forced.code, forced.stderr).to.equal(0)
  })

  it('an output folder that holds a run is refused', async () => {
    const before = await finalWeights(scratch.path('whole'))
    const result = await runTrain(scratch.args('whole'))
    expect(result.code).to.equal(2)
    expect(eventsOf(result)).to.have.length(1)
    expect(eventsOf(result)[0]).to.include({ event: 'error', code: 'FT_OUTPUT_EXISTS' })
    expect(await finalWeights(scratch.path('whole'))).to.deep.equal(before)
  })

  it('a folder that cannot be written is exit 5', async () => {
    for (const folder of ['/proc/ft-native-test', path.join(scratch.data, 'sub')]) {
      const result = await runTrain([...scratch.args('x'), '--output', folder])
      expect(result.code, result.stderr).to.equal(5)
    }
  })
})

function has(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}
