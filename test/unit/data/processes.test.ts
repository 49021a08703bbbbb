// Several real processes that prepare the same data at once: the same rows for all, and one entry in the cache, whoever is killed.
import type { ChildProcess } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { prepareDataset } from '../../../lib/data/index.js'
import { cliMain, runNode, type CliResult } from '../support/cli.js'
import { fixture, rowFiles, temporaryFolder, tokenizers } from './helpers.js'

describe('processes that prepare the same data', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()
  const styles = tokenizers('llama3')
  const write = rowFiles(folder)
  const options = { seed: 1, maxSeqLength: 64, validationRatio: 0.2, threads: 1 } as const

  /** Prints the fingerprint, and the rows that were tokenized; `slow`: milliseconds for each batch. */
  function prepareInProcess(paths: string, cache: string, slow = 0, onStart?: (child: ChildProcess) => void): Promise<CliResult> {
    const module = pathToFileURL(path.join(path.dirname(cliMain()), '../data/index.js')).href
    const code = `import { loadTokenizer, prepareDataset } from ${JSON.stringify(module)}
      const real = await loadTokenizer(${JSON.stringify(fixture('tokenizers/llama3-style'))})
      let tokenized = 0
      const tokenizer = { ...real, async encodeRequests(requests) {
        await new Promise((resolve) => setTimeout(resolve, ${slow}))
        tokenized += requests.length
        if (${slow} > 0) process.stderr.write('batch')
        return await real.encodeRequests(requests)
      } }
      const { fingerprint, train } = await prepareDataset({ paths: ${JSON.stringify(paths)}, tokenizer, ...${JSON.stringify(options)}, cache: { folder: ${JSON.stringify(cache)}, leastBytes: 0 } })
      process.stdout.write(JSON.stringify({ fingerprint, rows: train.length, tokenized }))
      real.dispose()`
    return runNode(['--input-type=module', '-e', code], { onStart })
  }

  const rows = Array.from({ length: 2000 }, (_, i) => ({ prompt: `p${i} <|eot_id|>`, completion: ` c ${'word '.repeat(i % 9)}` }))
  const entries = (cache: string): string[] => readdirSync(cache).filter((name) => name !== 'files')

  it('have the same rows, and leave one entry', async () => {
    const [data, cache] = [write(rows), folder.path('cache-many')]
    const { fingerprint, train } = await prepareDataset({ ...options, paths: data, tokenizer: styles.llama3 })
    const results = await Promise.all([0, 5, 10].map((slow) => prepareInProcess(data, cache, slow)))
    for (const { code, stdout, stderr } of results) {
      expect(code, stderr).to.equal(0)
      expect(JSON.parse(stdout)).to.include({ fingerprint, rows: train.length })
    }
    expect(entries(cache)).to.have.length(1).and.to.satisfy(([name]: string[]) => /^[0-9a-f]{64}$/.test(name as string))
    expect(JSON.parse((await prepareInProcess(data, cache)).stdout)).to.deep.equal({ fingerprint, rows: train.length, tokenized: 0 })
  })

  it('go on where one was that is killed, while another has begun', async () => {
    const [data, cache] = [write(rows), folder.path('cache-killed')]
    const { fingerprint } = await prepareDataset({ ...options, paths: data, tokenizer: styles.llama3 })
    // One has batches in its journal; another, which may not write there, works for itself meanwhile, and ends first.
    let slow: ChildProcess | undefined
    let begun = (): void => undefined
    const begins = new Promise<void>((resolve) => (begun = resolve))
    let batches = 0
    const killed = prepareInProcess(data, cache, 800, (child) => {
      slow = child
      child.stderr?.on('data', (chunk: Buffer) => {
        batches += chunk.toString().split('batch').length - 1
        if (batches >= 3) begun()
      })
    })
    await begins
    const other = await prepareInProcess(data, cache, 1)
    slow?.kill('SIGKILL')
    expect(JSON.parse(other.stdout), other.stderr).to.deep.include({ fingerprint, tokenized: 2000 })
    expect((await killed).signal).to.equal('SIGKILL')
    const last = await prepareInProcess(data, cache)
    expect(JSON.parse(last.stdout)).to.include({ fingerprint, tokenized: 0 })
    expect(entries(cache).filter((name) => !name.includes('.journal'))).to.have.length(1)
  })
})
