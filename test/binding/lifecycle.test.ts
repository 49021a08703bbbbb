// Life and death around the engine thread: garbage collection, flat memory, worker threads, processes that end in
// the middle of a step or idle.
import { expect } from 'chai'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { native } from '../../lib/native/binding.js'
import { adamw, collectGarbage, lora, rows, settleGarbage, stepOptions, tinyModel } from './support.js'

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

interface Ended { code: number | null; signal: NodeJS.Signals | null; output: string }

function runChild(scenario: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', here('./fixtures/child.ts'), scenario], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000)
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, output })
    })
  })
}

describe('garbage collection', () => {
  it('frees models that nobody holds, in any order with their children', async () => {
    for (let round = 0; round < 5; round++) {
      await (async () => {
        const model = await tinyModel()
        await model.addAdapter(lora)
        const optimizer = await native().createOptimizer(model, adamw)
        await optimizer.step([rows(8)], stepOptions)
        await model.startGeneration([Int32Array.of(1)], { maxNewTokens: 3, temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1, seed: 0, stopTokenIds: new Int32Array(0), useCache: true })
      })()
      await settleGarbage()
    }
  })

  it('a pending call keeps what it needs', async () => {
    const pending = await (async () => {
      const model = await tinyModel()
      await model.addAdapter(lora)
      const optimizer = await native().createOptimizer(model, adamw)
      return [optimizer.step([rows(64, 64)], stepOptions), model.forward(rows(16))] as const
    })()
    collectGarbage()
    const [step, logits] = await Promise.all(pending)
    expect(step.applied).to.equal(true)
    expect(logits.length).to.equal(16 * 61)
  })

  it('a collected Pass gives way to the next', async () => {
    const model = await tinyModel()
    const adapter = await model.addAdapter(lora)
    const options = { seed: 1, step: 0, gradientCheckpointing: false }
    await model.forwardPass(rows(4), options)
    await settleGarbage()
    const pass = await model.forwardPass(rows(4), options)
    pass.dispose()
    adapter.dispose()
    model.dispose()
  })

  it('shared results are freed with their arrays', async () => {
    const model = await tinyModel()
    const large = rows(...Array.from({ length: 40 }, () => 128)) // 1.2 MB of logits
    await model.forward(large)
    await settleGarbage()
    const before = native().memory().rssBytes
    for (let i = 0; i < 60; i++) {
      await model.forward(large)
      if (i % 10 === 9) await settleGarbage()
    }
    await settleGarbage()
    expect(native().memory().rssBytes - before).to.be.below(40e6)
    model.dispose()
  })
})

describe('flat memory', function () {
  this.timeout(120_000)

  it('over loads and disposals', async () => {
    const once = async (): Promise<void> => {
      const model = await tinyModel({ vocab_size: 8192, hidden_size: 64, head_dim: 16 }) // 4 MB
      const adapter = await model.addAdapter(lora)
      const optimizer = await native().createOptimizer(model, adamw)
      await optimizer.step([rows(32)], stepOptions)
      for (const handle of [optimizer, adapter, model]) handle.dispose()
      await native().idle()
    }
    for (let i = 0; i < 5; i++) await once()
    await settleGarbage()
    const before = native().memory().rssBytes
    const files = fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0
    const threads = fs.existsSync('/proc/self/task') ? fs.readdirSync('/proc/self/task').length : 0
    for (let i = 0; i < 40; i++) await once()
    await settleGarbage()
    expect(native().memory().rssBytes - before).to.be.below(30e6)
    if (files > 0) expect(fs.readdirSync('/proc/self/fd').length).to.be.at.most(files + 2)
    if (threads > 0) expect(fs.readdirSync('/proc/self/task').length).to.be.at.most(threads + 1)
  })

  it('over steps', async () => {
    const model = await tinyModel()
    const adapter = await model.addAdapter(lora)
    const optimizer = await native().createOptimizer(model, adamw)
    const step = (index: number) => optimizer.step([rows(20, 30), rows(10)], { ...stepOptions, step: index })
    for (let i = 0; i < 50; i++) await step(i)
    await settleGarbage()
    const before = native().memory().rssBytes
    for (let i = 0; i < 300; i++) await step(i)
    await settleGarbage()
    expect(native().memory().rssBytes - before).to.be.below(20e6)
    for (const handle of [optimizer, adapter, model]) handle.dispose()
  })
})

describe('worker threads', function () {
  this.timeout(120_000)
  const work = (scenario: string): Worker => new Worker(here('./fixtures/worker.mjs'), { workerData: { scenario } })
  const ended = (worker: Worker): Promise<{ code: number; message: unknown }> =>
    new Promise((resolve, reject) => {
      let message: unknown
      worker.once('message', (value: unknown) => (message = value))
      worker.once('error', reject)
      worker.once('exit', (code) => resolve({ code, message }))
    })

  it('eight train at once, each its own model', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, () => ended(work('train'))))
    for (const result of results) expect(result).to.deep.equal({ code: 0, message: (results[0] as { message: unknown }).message })
    expect(results[0]?.message).to.be.a('number')
  })

  it('ending with work pending, and terminated in the middle, leaves the others alone', async () => {
    const model = await tinyModel()
    const workers = ['pending', 'pending', 'terminated', 'terminated'].map((scenario) => ({ scenario, worker: work(scenario) }))
    await Promise.all(
      workers.map(async ({ scenario, worker }) => {
        if (scenario === 'pending') return await ended(worker)
        await new Promise((resolve) => worker.once('message', resolve))
        return await worker.terminate()
      }),
    )
    expect((await model.forward(rows(4))).every(Number.isFinite)).to.equal(true)
    model.dispose()
    await native().idle()
  })
})

describe('the end of a process', function () {
  this.timeout(90_000)

  const scenarios: Record<string, { code: number; says?: string }> = {
    idle: { code: 0, says: 'loaded' }, // an idle engine does not keep the process alive
    pending: { code: 0, says: 'finished true' }, // a pending promise does
    'exit in a step': { code: 7 },
    'exit in a step on two threads': { code: 7 },
    'exit code in a step': { code: 9 },
    'exit while loading': { code: 3 },
    'exit after dispose': { code: 0 },
    'exception in a step': { code: 1, says: 'thrown on purpose' },
    'exit with workers': { code: 5 },
  }
  for (const [scenario, expected] of Object.entries(scenarios)) {
    it(scenario, async () => {
      const { code, signal, output } = await runChild(scenario)
      expect({ code, signal }, output).to.deep.equal({ code: expected.code, signal: null })
      if (expected.says !== undefined) expect(output).to.contain(expected.says)
    })
  }
})
