// `ft-native train --json` from the golden adapter over the golden rows: the losses and gradient norms of its
// events are those of transformers and PEFT, and what it writes computes what they ended with.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { at, difference, goldenCases, microBatches, pickRows, seriesDifference, tensorOf, type GoldenCase } from './golden.js'
import { openSubject } from './subject.js'

const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

type Event = Record<string, unknown>

async function train(golden: GoldenCase, method: 'lora' | 'full', scratch: string, extra: string[] = []): Promise<{ events: Event[]; output: string }> {
  const { steps, micro_batch: microBatch, accumulation } = golden.golden
  const record = golden.golden[method]
  // Every row that every step takes, once: one epoch in order is the golden run.
  const rows = Array.from({ length: steps }, (_, step) => microBatches(golden.golden, step)).flat(2)
  const data = path.join(scratch, `${golden.name}.jsonl`)
  fs.writeFileSync(data, rows.map((row) => JSON.stringify(row)).join('\n') + '\n')
  const output = path.join(scratch, `${golden.name}-${method}`)
  const args = ['train', '--json', '--model', golden.model, '--data', data, '--output', output, '--method', method, '--epochs', '1',
    '--batch-size', String(microBatch), '--gradient-accumulation-steps', String(accumulation), '--no-shuffle', '--validation-ratio', '0',
    '--scheduler', 'constant', '--warmup-ratio', '0', '--learning-rate', String(record.learning_rate), '--weight-decay', String(record.weight_decay),
    '--dtype', 'fp32', '--device', 'cpu', '--threads', '1', ...(method === 'lora' ? ['--adapter', golden.adapter] : []), ...extra]
  const child = spawn(process.execPath, ['--import', 'tsx', path.join(repository, 'lib/cli/main.ts'), ...args], { cwd: repository, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString() })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  expect(code, stderr).to.equal(0)
  return { events: stdout.trim().split('\n').map((line) => JSON.parse(line) as Event), output }
}

describe('the train command as transformers and PEFT train', function () {
  this.timeout(120_000)
  let scratch = ''
  before(() => { scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-parity-cli-')) })
  after(() => { fs.rmSync(scratch, { recursive: true, force: true }) })

  const runs = [
    ['llama-gqa', 'lora', []], ['mistral-window', 'lora', ['--gradient-checkpointing']], ['qwen2-window', 'lora', []], ['qwen3-tied', 'lora', []],
    ['llama-biases-llama3', 'full', []], ['qwen3-biases-bf16', 'full', ['--gradient-checkpointing']],
  ] as const
  for (const [name, method, extra] of runs) {
    it([name, method, ...extra].join(' '), async () => {
      const golden = at(goldenCases().filter((entry) => entry.name === name), 0)
      const record = golden.golden[method]
      const { events, output } = await train(golden, method, scratch, [...extra])
      const steps = events.filter((event) => event.event === 'step')
      expect(steps.map((event) => event.step)).to.deep.equal(record.losses.map((_, i) => i + 1))
      expect(seriesDifference(steps.map((event) => Number(event.loss)), record.losses), 'losses').to.be.below(1e-4)
      expect(seriesDifference(steps.map((event) => Number(event.grad_norm)), record.grad_norms), 'gradient norms').to.be.below(1e-4)
      const supervised = microBatches(golden.golden, 0).flat().reduce((sum, row) => sum + row.labels.slice(1).filter((label) => label !== -100).length, 0)
      expect(steps[0]?.supervised_tokens).to.equal(supervised)

      const subject = await openSubject(method === 'full' ? output : golden.model)
      try {
        if (method === 'lora') await subject.loadAdapter(output)
        const { input_ids: ids, positions, tensor } = record.trained_logits
        const logits = pickRows(await subject.logits(ids), subject.vocabSize, positions)
        expect(difference(logits, tensorOf(golden, tensor).data), 'logits of what was written').to.be.below(1e-4)
      } finally {
        await subject.dispose()
      }
    })
  }
})
