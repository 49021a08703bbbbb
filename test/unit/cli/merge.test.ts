// merge: the merged model computes what base and adapter do; the folder is whole or absent; nothing is replaced unasked.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { compare } from '../../../lib/cli/merge-drift.js'
import { loadModel } from '../../../lib/models/index.js'
import { root } from '../support/cli.js'
import { runModelCli } from '../support/demo-model.js'

const golden = path.join(root, 'test', 'fixtures', 'golden', 'llama-gqa')
const [model, adapter] = [path.join(golden, 'model'), path.join(golden, 'adapter')]

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-merge-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function logitsOf(name: string, withAdapter?: string): Promise<Float32Array> {
  const loaded = await loadModel({ name, adapter: withAdapter, dtype: 'fp32', device: 'cpu' })
  try {
    return (await loaded.forward([[3, 1, 4, 1, 5, 9, 2, 6]])).logits
  } finally {
    await loaded.dispose()
  }
}

describe('merge', function () {
  this.timeout(60_000)
  const merge = (...args: string[]) => runModelCli(['merge', '--model', model, '--adapter', adapter, '--device', 'cpu', ...args])

  it('writes a model that computes what base and adapter do', async () => {
    const output = path.join(folder, 'deep', 'merged')
    const { code, stdout, stderr } = await merge('--output', output, '--json')
    expect(code, stderr).to.equal(0)
    const result = JSON.parse(stdout) as { merged_modules: number; drift: { top1_agreement: number; mean_kl: number } }
    expect(result.merged_modules).to.be.greaterThan(0)
    expect(result.drift).to.include({ top1_agreement: 1 })
    const [wanted, got, base] = [await logitsOf(model, adapter), await logitsOf(output), await logitsOf(model)]
    let [error, change] = [0, 0]
    for (const [index, value] of wanted.entries()) {
      error = Math.max(error, Math.abs(value - (got[index] ?? NaN)))
      change = Math.max(change, Math.abs(value - (base[index] ?? NaN)))
    }
    expect(error).to.be.lessThan(1e-4)
    expect(change).to.be.greaterThan(100 * error) // the adapter does something
    expect(readdirSync(path.dirname(output))).to.deep.equal(['merged'])
  })

  it('--dtype bf16 halves the weights and says so in config.json', async () => {
    const output = path.join(folder, 'merged')
    expect((await merge('--output', output, '--dtype', 'bf16')).code).to.equal(0)
    const config = JSON.parse(readFileSync(path.join(output, 'config.json'), 'utf8')) as { torch_dtype?: string; dtype?: string }
    expect(config.dtype ?? config.torch_dtype).to.equal('bfloat16')
  })

  it('does not touch a folder that holds something, unless --overwrite replaces a model', async () => {
    const output = path.join(folder, 'merged')
    expect((await merge('--output', output, '--no-verify')).code).to.equal(0)
    writeFileSync(path.join(output, 'old.txt'), 'old')
    const refused = await merge('--output', output)
    expect(refused.code).to.equal(2)
    expect(refused.stderr).to.include('FT_OUTPUT_EXISTS').and.include('--overwrite')
    expect((await merge('--output', output, '--overwrite', '--no-verify')).code).to.equal(0)
    expect(existsSync(path.join(output, 'old.txt'))).to.equal(false)
    const papers = path.join(folder, 'papers')
    mkdirSync(papers)
    writeFileSync(path.join(papers, 'thesis.txt'), 'years')
    expect((await merge('--output', papers, '--overwrite')).code).to.equal(2)
    expect(readdirSync(papers)).to.deep.equal(['thesis.txt'])
  })

  it('refuses to replace what it merges', async () => {
    for (const output of [model, adapter, golden]) {
      const { code, stderr } = await merge('--output', output, '--overwrite')
      expect(code, output).to.equal(2)
      expect(stderr).to.include('FT_OUTPUT_EXISTS')
      expect((await merge('--output', output)).stderr, 'what would be refused is not proposed').not.to.include('--overwrite')
      expect(existsSync(path.join(model, 'config.json'))).to.equal(true)
    }
  })

  it('leaves nothing behind when it fails', async () => {
    const other = path.join(root, 'test', 'fixtures', 'golden', 'qwen3-tied', 'model')
    const { code, stderr } = await runModelCli(['merge', '--model', other, '--adapter', adapter, '--output', path.join(folder, 'merged')])
    expect(code).to.equal(3)
    expect(stderr).to.include('FT_ADAPTER_MISMATCH')
    expect(readdirSync(folder)).to.deep.equal([])
  })

  it('cleans up after a merge that was killed, and leaves one that runs alone', async () => {
    const output = path.join(folder, 'merged')
    const dead = 2 ** 22 + 1 // above the largest process id
    for (const name of [`.tmp-merged-${dead}`, `.old-merged-${dead}`, `.tmp-merged-${process.pid}`]) mkdirSync(path.join(folder, name))
    writeFileSync(path.join(folder, `.old-merged-${dead}`, 'config.json'), '{}')
    const refused = await merge('--output', output) // the earlier model is back, and is not replaced unasked
    expect(refused.stderr).to.include('FT_OUTPUT_EXISTS')
    expect(readdirSync(folder).sort()).to.deep.equal([`.tmp-merged-${process.pid}`, 'merged'])
    expect((await merge('--output', output, '--overwrite', '--no-verify')).code).to.equal(0)
    expect(readdirSync(folder).sort()).to.deep.equal([`.tmp-merged-${process.pid}`, 'merged'])
  })

  it('--arch reads a base that calls itself otherwise, as export does', async () => {
    const renamed = path.join(folder, 'renamed')
    cpSync(model, renamed, { recursive: true })
    const config = JSON.parse(readFileSync(path.join(renamed, 'config.json'), 'utf8')) as Record<string, unknown>
    writeFileSync(path.join(renamed, 'config.json'), JSON.stringify({ ...config, model_type: 'llama_of_ours' }))
    const run = (command: string, output: string, ...args: string[]) => runModelCli([command, '--model', renamed, '--output', path.join(folder, output), '--json', ...args])
    const refused = await run('merge', 'none', '--adapter', adapter)
    expect(refused.stderr).to.include('FT_UNSUPPORTED_MODEL').and.include('llama')
    const merged = await run('merge', 'merged', '--adapter', adapter, '--device', 'cpu', '--arch', 'llama')
    expect(merged.code, merged.stderr).to.equal(0)
    expect((JSON.parse(merged.stdout) as { drift: { top1_agreement: number } }).drift.top1_agreement).to.equal(1)
    for (const format of ['plain', 'bnb-4bit']) {
      expect((await run('export', `refused-${format}`, '--format', format)).stderr, format).to.include('FT_UNSUPPORTED_MODEL')
      const { code, stderr } = await run('export', format, '--format', format, '--arch', 'llama')
      expect(code, stderr).to.equal(0)
    }
  })

  it('asks for adapter and output', async () => {
    expect((await runModelCli(['merge', '--output', folder])).stderr).to.include('no adapter was named')
    expect((await runModelCli(['merge', '--adapter', adapter])).stderr).to.include('no output folder was named')
  })
})

describe('the drift of a merge', () => {
  it('is none between equal logits, and seen between different ones', () => {
    const logits = Float32Array.of(1, 2, 3, 0, 0, 5)
    expect(compare(logits, logits, 3)).to.deep.equal({ positions: 2, top1_agreement: 1, mean_kl: 0, max_kl: 0 })
    const { top1_agreement: top1, mean_kl: kl } = compare(logits, Float32Array.of(1, 2, 3, 5, 0, 0), 3)
    expect(top1).to.equal(0.5)
    expect(kl).to.be.greaterThan(1)
  })

  it('knows the divergence of two coins', () => {
    const { mean_kl: kl } = compare(Float32Array.of(Math.log(0.75), Math.log(0.25)), Float32Array.of(0, 0), 2)
    expect(kl).to.be.closeTo(0.75 * Math.log(1.5) + 0.25 * Math.log(0.5), 1e-6)
  })
})
