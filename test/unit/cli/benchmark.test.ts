// The benchmark command on the demo's model and the engine of this checkout.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { demoData, demoModel, quick, runModelCli } from '../support/demo-model.js'

describe('benchmark', function () {
  this.timeout(120_000)
  let folder: string
  beforeEach(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'ft-benchmark-'))))
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const small = [...quick, '--model', demoModel, '--max-seq-length', '32', '--batch-size', '2', '--steps', '3']

  it('prints one document, with phases that fill the step', async () => {
    const { code, stdout, stderr } = await runModelCli(['benchmark', ...small, '--json'], { cwd: folder })
    expect(code, stderr).to.equal(0)
    const report = JSON.parse(stdout) as Record<string, Record<string, number>>
    expect(report).to.include({ kind: 'benchmark', method: 'lora', dtype: 'fp32', steps: 3, batch_size: 2, skipped_steps: 0 })
    expect(report.rows).to.deep.equal({ source: 'random', count: 8, longest_tokens: 32 })
    expect(report.tokens_per_step).to.deep.equal({ median: 64, min: 64, max: 64 })
    const { forward_seconds: forward, backward_seconds: backward, optimizer_seconds: optimizer } = report.phases ?? {}
    for (const phase of [forward, backward, optimizer]) expect(phase).to.be.greaterThan(0)
    expect(Number(forward) + Number(backward)).to.be.below(3 * Number(report.step_seconds?.max))
    expect(report.memory?.peak_rss_bytes).to.be.at.least(Number(report.memory?.loaded_rss_bytes))
    expect(report.largest_batch?.batch_size).to.be.at.least(2)
    expect(readdirSync(folder)).to.deep.equal([])
  })

  it('measures own rows, packed, with all weights', async () => {
    const { code, stdout, stderr } = await runModelCli(['benchmark', ...small, '--data', demoData, '--packing', '--max-seq-length', '96', '--method', 'full'])
    expect(code, stderr).to.equal(0)
    expect(stdout).to.match(/^method +full, /m).and.match(/^batch +2 windows, /m).and.match(/^tokens\/s +\S+ \(\S+ to \S+\), median and range of 3 steps after 2$/m)
    expect(stdout).to.match(/^ {2}forward +\S+ m?s, \d+ %$/m).and.match(/^largest batch +(about|at least) [\d,]+ windows of 96 tokens: /m)
  })

  it('says what is wrong', async () => {
    expect((await runModelCli(['benchmark'])).stderr).to.include('FT_MISSING_CONFIG').and.include('--model').and.not.include('dataset.path')
    expect(await runModelCli(['benchmark', '--model', demoModel, '--steps', '0'])).to.include({ code: 2 })
    expect(await runModelCli(['benchmark', '--model', path.join(folder, 'none')])).to.include({ code: 3 })
  })
})
