// D2: what a power cut leaves. A checkpoint is durable when its name is: everything in it was flushed before the rename,
// the rename before an older checkpoint goes. Checked on the order of the calls that a run makes.
import { expect } from 'chai'
import fs from 'node:fs/promises'
import path from 'node:path'
import { compileShim, Scratch, trainedEvents } from './support.js'

interface Call {
  operation: string
  path: string
  other: string
}

describe('the order of writes', function () {
  this.timeout(60_000)
  let scratch: Scratch
  let calls: Call[] = []
  let output: string

  before(async function () {
    scratch = await Scratch.create()
    output = scratch.path('out')
    const shim = compileShim(scratch.root)
    if (shim === null) return this.skip()
    const log = scratch.path('calls')
    await trainedEvents(scratch.args('out'), { env: { LD_PRELOAD: shim, FT_FAULT_DIR: output, FT_FAULT_MODE: 'log', FT_FAULT_LOG: log } })
    calls = (await fs.readFile(log, 'utf8')).split('\n').filter(Boolean).map((line) => {
      const [operation = '', first = '', other = ''] = line.split('\t')
      return { operation, path: first, other }
    })
  })
  after(() => scratch.remove())

  const lastIndex = (matches: (call: Call) => boolean, before = calls.length): number => calls.slice(0, before).findLastIndex(matches)
  const renamesTo = (name: RegExp): { call: Call; index: number }[] =>
    calls.map((call, index) => ({ call, index })).filter(({ call }) => call.operation === 'rename' && path.dirname(call.other) === output && name.test(path.basename(call.other)))

  it('every file of a checkpoint and its folder are flushed before the rename, its name after it', () => {
    const commits = renamesTo(/^checkpoint-\d+$/)
    expect(commits).to.have.length(4)
    for (const { call, index } of commits) {
      const made = (operation: string, name: string): number => lastIndex((entry) => entry.operation === operation && entry.path === name, index)
      const created = [...new Set(calls.slice(0, index).filter((entry) => entry.operation === 'create' && path.dirname(entry.path) === call.path).map((entry) => entry.path))]
      // The engine writes under a temporary name of its own first.
      const files = created.map((name) => ({ name, final: calls.slice(0, index).findLast((entry) => entry.operation === 'rename' && entry.path === name)?.other ?? name }))
      expect(files.map(({ final }) => path.basename(final))).to.include.members(['adapter_model.safetensors', 'optimizer.safetensors', 'ft_state.json', 'manifest.json'])
      for (const { name, final } of files) {
        const written = Math.max(made('write', name), made('create', name), made('write', final))
        expect(Math.max(made('fsync', name), made('fsync', final)), `${final} is flushed after its last byte`).to.be.greaterThan(written)
      }
      const lastName = Math.max(...files.map(({ name }) => Math.max(made('create', name), made('rename', name))))
      expect(made('fsync', call.path), 'the folder is flushed').to.be.greaterThan(lastName)
      expect(made('create', path.join(call.path, 'manifest.json')), 'the manifest is last').to.equal(lastName)
      const next = calls.slice(index + 1).findIndex((entry) => entry.operation !== 'fsync')
      expect(calls.slice(index + 1, index + 1 + next).some((entry) => entry.path === output), 'the new name is flushed before anything else happens').to.equal(true)
    }
  })

  it('an older checkpoint goes only after a newer one is durable', () => {
    const deletions = renamesTo(/^\.del-checkpoint-\d+/)
    expect(deletions).to.have.length(2)
    for (const { call, index } of deletions) {
      const step = Number(path.basename(call.path).slice(11))
      const newer = renamesTo(/^checkpoint-\d+$/).filter((commit) => commit.index < index && Number(path.basename(commit.call.other).slice(11)) > step)
      expect(newer.length).to.be.greaterThan(0)
    }
  })

  it('the adapter gets its configuration after its weights, both flushed before', () => {
    const [weights] = renamesTo(/^adapter_model\.safetensors$/)
    const [config] = renamesTo(/^adapter_config\.json$/)
    expect(config?.index).to.be.greaterThan(weights?.index ?? Number.POSITIVE_INFINITY)
    for (const renamed of [weights, config]) {
      const last = (operation: string): number => lastIndex((entry) => entry.operation === operation && entry.path === renamed?.call.path, renamed?.index)
      expect(last('fsync')).to.be.greaterThan(Math.max(last('write'), -1))
    }
  })
})
