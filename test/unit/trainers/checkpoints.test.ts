// Checkpoint folders: whole or not there, verified to the last byte, cleaned up after a kill, rotated without loss.
import { expect } from 'chai'
import fs from 'node:fs/promises'
import path from 'node:path'
import { fingerprintModel } from '../../../lib/trainers/checkpoints/fingerprint.js'
import { compareInputs, differenceTable, flatten } from '../../../lib/trainers/checkpoints/inputs.js'
import { verifyManifest } from '../../../lib/trainers/checkpoints/manifest.js'
import { CheckpointStore } from '../../../lib/trainers/checkpoints/store.js'
import { digests, failsWith, failure, Workspace } from './workspace.js'

describe('checkpoint folders', () => {
  let space: Workspace
  let store: CheckpointStore
  beforeEach(async () => {
    space = await Workspace.create()
    await fs.mkdir(space.path('out'))
    store = new CheckpointStore(space.path('out'))
  })
  afterEach(() => space.remove())

  const put = (step: number, text = `state ${step}`) =>
    store.commit(step, async (folder) => {
      await fs.writeFile(path.join(folder, 'weights'), text)
      await fs.writeFile(path.join(folder, 'state.json'), JSON.stringify({ step }))
    })

  it('appears with a manifest and nothing else beside it', async () => {
    const { path: folder } = await put(5)
    expect(await fs.readdir(space.path('out'))).to.deep.equal(['checkpoint-5'])
    const verdict = await verifyManifest(folder)
    expect(verdict.usable).to.equal(true)
    expect(verdict.usable && Object.keys(verdict.manifest.files)).to.deep.equal(['state.json', 'weights'])
  })

  it('is not there at all when writing it fails, and an older one of the same step stays', async () => {
    await put(5, 'old')
    const before = await digests(space.path('out', 'checkpoint-5'))
    await failsWith('FT_STORAGE', 5, store.commit(5, async (folder) => {
      await fs.writeFile(path.join(folder, 'weights'), 'half')
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    }))
    expect(await fs.readdir(space.path('out'))).to.deep.equal(['checkpoint-5'])
    expect(await digests(space.path('out', 'checkpoint-5'))).to.deep.equal(before)
  })

  it('replaces one of the same step', async () => {
    await put(5, 'old')
    await put(5, 'new')
    expect(await fs.readdir(space.path('out'))).to.deep.equal(['checkpoint-5'])
    expect(await fs.readFile(space.path('out', 'checkpoint-5', 'weights'), 'utf8')).to.equal('new')
  })

  it('every flipped, cut, missing or emptied file is seen', async () => {
    const { path: folder } = await put(5)
    for (const name of await fs.readdir(folder)) {
      const file = path.join(folder, name)
      const whole = await fs.readFile(file)
      const flips = name === 'manifest.json' ? [...whole.keys()] : [0, whole.length >> 1, whole.length - 1]
      for (const at of flips) {
        const bad = Buffer.from(whole)
        bad[at] = (bad[at] ?? 0) ^ 1
        await fs.writeFile(file, bad)
        expect((await verifyManifest(folder)).usable, `${name} byte ${at}`).to.equal(false)
      }
      for (const bad of [whole.subarray(0, -1), Buffer.alloc(0), Buffer.concat([whole, Buffer.from(' ')])]) {
        await fs.writeFile(file, bad)
        expect((await verifyManifest(folder)).usable, `${name} with ${bad.length} bytes`).to.equal(false)
      }
      await fs.rm(file)
      expect((await verifyManifest(folder)).usable, `${name} missing`).to.equal(false)
      await fs.writeFile(file, whole)
      expect((await verifyManifest(folder)).usable).to.equal(true)
    }
  })

  it('a manifest cannot name a file outside the folder', async () => {
    const { path: folder } = await put(5)
    const file = path.join(folder, 'manifest.json')
    await fs.writeFile(file, (await fs.readFile(file, 'utf8')).replace('"weights"', '"../../weights"'))
    expect(await verifyManifest(folder)).to.include({ usable: false, reason: 'manifest.json is damaged' })
  })

  it('the newest whole one is found, and the damaged newer ones are named', async () => {
    for (const step of [2, 10, 9]) await put(step)
    await fs.writeFile(space.path('out', 'checkpoint-10', 'weights'), 'bad')
    const { checkpoint, damaged } = await store.newestUsable()
    expect(checkpoint?.step).to.equal(9)
    expect(damaged.map(({ step, reason }) => [step, reason])).to.deep.equal([[10, 'weights has 3 bytes, its manifest says 8']])
  })

  it('a folder without a manifest, a file and other names are no checkpoints', async () => {
    await fs.mkdir(space.path('out', 'checkpoint-3'))
    await fs.writeFile(space.path('out', 'checkpoint-4'), '')
    await fs.mkdir(space.path('out', 'checkpoint-x'))
    expect(await store.list()).to.deep.equal([])
    expect((await store.newestUsable()).checkpoint).to.equal(null)
  })

  it('cleans up after a kill in a save, in a replacement and in a deletion', async () => {
    await put(5)
    await fs.mkdir(space.path('out', '.tmp-checkpoint-7-123'))
    await fs.mkdir(space.path('out', '.tmp-final-99'))
    await fs.mkdir(space.path('out', '.del-checkpoint-1-4'))
    await fs.mkdir(space.path('out', '.old-checkpoint-5-4'))
    await fs.mkdir(space.path('out', '.old-checkpoint-6-4'))
    await fs.writeFile(space.path('out', '.tmp-mine'), 'keep')
    await store.clean()
    // 6 was between its two names: it is put back; 5 had its successor in place.
    expect((await fs.readdir(space.path('out'))).sort()).to.deep.equal(['.tmp-mine', 'checkpoint-5', 'checkpoint-6'])
  })

  it('rotation keeps the newest and the named ones', async () => {
    for (const step of [1, 2, 3, 4]) await put(step)
    const deleted = await store.rotate(2, new Set([1]))
    expect(deleted.map(({ step }) => step)).to.deep.equal([2, 3])
    expect((await store.list()).map(({ step }) => step)).to.deep.equal([1, 4])
    expect(await store.rotate(1, new Set([1]))).to.deep.equal([])
  })

  it('a folder that cannot be written is a storage error', async () => {
    await fs.writeFile(space.path('file'), '')
    const error = await failure(new CheckpointStore(space.path('file', 'sub')).commit(1, () => Promise.resolve()))
    expect(error.code).to.equal('FT_STORAGE')
  })
})

describe('model fingerprints', () => {
  let space: Workspace
  beforeEach(async () => (space = await Workspace.create()))
  afterEach(() => space.remove())
  const print = (weights = true) => fingerprintModel(space.model, { weights })

  it('a copy is the same model, other weights, sizes, names or config are not', async () => {
    const before = await print()
    await fs.cp(space.model, space.path('copy'), { recursive: true })
    expect(await fingerprintModel(space.path('copy'), { weights: true })).to.equal(before)
    const file = path.join(space.model, 'model.safetensors')
    const whole = await fs.readFile(file)
    await fs.writeFile(file, Buffer.concat([whole.subarray(0, -1), Buffer.from([1])]))
    expect(await print()).not.to.equal(before)
    await fs.writeFile(file, Buffer.concat([whole, Buffer.from([0])]))
    expect(await print()).not.to.equal(before)
    await fs.writeFile(file, whole)
    expect(await print()).to.equal(before)
    await fs.writeFile(path.join(space.model, 'config.json'), '{"model_type":"other"}')
    expect(await print()).not.to.equal(before)
  })

  it('sees weights that were trained on in a large file', async () => {
    const file = path.join(space.model, 'model.safetensors')
    const large = Buffer.alloc(8 * 1024 * 1024, 3)
    large.writeBigUInt64LE(2n)
    await fs.writeFile(file, large)
    const before = await print()
    for (let at = 4096; at < large.length; at += 4096) large[at] = 4
    await fs.writeFile(file, large)
    expect(await print()).not.to.equal(before)
  })

  it('does not look at weights for a random initialisation', async () => {
    const before = await print(false)
    await fs.rm(path.join(space.model, 'model.safetensors'))
    expect(await print(false)).to.equal(before)
  })

  it('a folder without config.json is a typed error', async () => {
    await fs.rm(path.join(space.model, 'config.json'))
    await failsWith('FT_MODEL_NOT_FOUND', 3, print())
  })
})

describe('inputs of a run', () => {
  it('are compared key by key', () => {
    expect(compareInputs({ a: 1, b: 'x', c: true }, { a: 1, b: 'y', d: null })).to.deep.equal([
      { key: 'b', checkpoint: 'x', now: 'y' },
      { key: 'c', checkpoint: true, now: undefined },
      { key: 'd', checkpoint: undefined, now: null },
    ])
  })

  it('are flat, in snake_case, independent of key order', () => {
    expect(flatten({ batchSize: 4, rankPattern: { b: 1, a: 2 }, none: undefined }, 'lora')).to.deep.equal({ 'lora.batch_size': 4, 'lora.rank_pattern': '{"a":2,"b":1}' })
  })

  it('differ in a table that lines up', () => {
    expect(differenceTable([{ key: 'training.seed', checkpoint: 42, now: 7 }, { key: 'lora.r', checkpoint: 16, now: undefined }])).to.equal(
      ['  input          checkpoint  now', '  training.seed  42          7', '  lora.r         16          (not set)'].join('\n'),
    )
  })
})
