// `ft-native train --json` against TRL's SFTTrainer on the same files: rows in order, the same initial adapter,
// twenty optimizer steps with accumulation, over the end of an epoch that does not divide evenly.
import path from 'node:path'
import { expect } from 'chai'
import { seriesDifference, difference } from '../parity/golden.js'
import { familyModel, familyNames, ftNative, reference, referenceLogits, scratchFolder, sentences, tokenRows, writeJsonLines } from './shared.js'

const LOSS = 1e-4
const STEPS = 20

const completions = Array.from({ length: 42 }, (_, i) => ({
  prompt: `Question ${i}: ${sentences[i % sentences.length]?.trim() ?? ''}`,
  completion: ` Answer: ${(sentences[(3 * i + 1) % sentences.length] ?? '').slice(0, 5 + 7 * (i % 6))}`,
}))
const conversations = Array.from({ length: 42 }, (_, i) => ({
  messages: [
    ...(i % 3 === 0 ? [{ role: 'system', content: 'Be brief.' }] : []),
    { role: 'user', content: sentences[i % sentences.length] ?? '' },
    { role: 'assistant', content: sentences[(i + 3) % sentences.length]?.slice(0, 30) ?? '' },
    ...(i % 2 === 0 ? [{ role: 'user', content: 'And then?' }, { role: 'assistant', content: `Then ${i}.` }] : []),
  ],
}))
const texts = Array.from({ length: 42 }, (_, i) => ({ text: `${i} ${sentences[(7 * i) % sentences.length] ?? ''}` }))

const kinds = [
  { name: 'prompt and completion', rows: completions, trl: {} },
  { name: 'messages', rows: conversations, trl: { assistant_only_loss: true } },
  { name: 'text', rows: texts, trl: {} },
]

async function train(model: string, data: string, output: string, extra: string[]) {
  const run = await ftNative(['train', '--json', '--model', model, '--data', data, '--output', output, '--max-steps', String(STEPS),
    '--batch-size', '2', '--gradient-accumulation-steps', '2', '--scheduler', 'constant', '--warmup-ratio', '0', '--no-shuffle',
    '--validation-ratio', '0', '--max-seq-length', '256', '--device', 'cpu', ...(extra.includes('--dtype') ? [] : ['--dtype', 'fp32']), ...extra])
  expect(run.code, run.stderr).to.equal(0)
  const steps = run.events.filter((event) => event.event === 'step')
  expect(steps).to.have.length(STEPS)
  return { losses: steps.map((event) => Number(event.loss)), gradNorms: steps.map((event) => Number(event.grad_norm)) }
}

const sameAsTrl = { per_device_train_batch_size: 2, gradient_accumulation_steps: 2, lr_scheduler_type: 'constant', max_steps: STEPS, max_length: 256 }

describe('training as TRL\'s SFTTrainer trains', () => {
  for (const [i, family] of familyNames.entries()) {
    const kind = kinds[i % kinds.length] as typeof kinds[number]
    it(`${family}, LoRA, ${kind.name}: losses and gradient norms of ${STEPS} steps`, async () => {
      const model = await familyModel(family)
      const adapter = scratchFolder(`sft-adapter-${family}`)
      await reference().call('make_adapter', { model, folder: adapter, lora: { r: 4, lora_alpha: 8, target_modules: 'all-linear' }, seed: 9 })
      const data = writeJsonLines(scratchFolder(`sft-${family}.jsonl`), kind.rows)
      const output = scratchFolder(`sft-out-${family}`)
      const ours = await train(model, data, output, ['--adapter', adapter, '--learning-rate', '2e-3'])
      const theirs = await reference().call('sft_train', { model, adapter, rows: kind.rows, output: scratchFolder(`trl-${family}`), learning_rate: 2e-3, save: scratchFolder(`trl-saved-${family}`), ...sameAsTrl, ...kind.trl })
      expect(seriesDifference(ours.losses, theirs.losses), `losses ${JSON.stringify({ ours: ours.losses, theirs: theirs.losses })}`).to.be.below(LOSS)
      expect(seriesDifference(ours.gradNorms, theirs.grad_norms), 'gradient norms').to.be.below(10 * LOSS)
      expect(Math.min(...theirs.losses)).to.be.below(0.95 * Math.max(...theirs.losses))
      await sameLogits(model, output, scratchFolder(`trl-saved-${family}`))
    })
  }

  it('qwen3, LoRA in bf16: the curve stays within the spread of the reference\'s own seeds', async () => {
    const model = await familyModel('qwen3')
    const data = writeJsonLines(scratchFolder('bf16.jsonl'), texts)
    const curves: number[][] = []
    for (const seed of [1, 2, 3]) {
      const adapter = scratchFolder(`bf16-adapter-${seed}`)
      await reference().call('make_adapter', { model, folder: adapter, lora: { r: 4, lora_alpha: 8, target_modules: 'all-linear' }, seed })
      curves.push((await reference().call('sft_train', { model, adapter, rows: texts, output: scratchFolder(`bf16-trl-${seed}`), learning_rate: 2e-3, dtype: 'bfloat16', ...sameAsTrl })).losses)
    }
    const ours = await train(model, data, scratchFolder('bf16-out'), ['--adapter', scratchFolder('bf16-adapter-1'), '--learning-rate', '2e-3', '--dtype', 'bf16'])
    const distance = (a: number[], b: number[]) => a.reduce((sum, loss, i) => sum + Math.abs(loss - (b[i] ?? NaN)), 0) / a.length
    const [first, second, third] = curves as [number[], number[], number[]]
    const spread = Math.min(distance(first, second), distance(first, third), distance(second, third))
    expect(distance(ours.losses, first), `spread of seeds ${spread}`).to.be.below(spread)
    expect(seriesDifference(ours.losses, first)).to.be.below(2e-2)
  })

  for (const family of ['llama', 'qwen2'] as const) {
    it(`${family}, full fine-tuning, messages: losses of ${STEPS} steps, and the models at the end`, async () => {
      const model = await familyModel(family)
      const data = writeJsonLines(scratchFolder(`full-${family}.jsonl`), conversations)
      const output = scratchFolder(`full-out-${family}`)
      const saved = scratchFolder(`trl-full-${family}`)
      const ours = await train(model, data, output, ['--method', 'full', '--learning-rate', '5e-4'])
      const theirs = await reference().call('sft_train', { model, rows: conversations, output: scratchFolder(`trl-${family}`), save: saved, learning_rate: 5e-4, assistant_only_loss: true, ...sameAsTrl })
      expect(seriesDifference(ours.losses, theirs.losses), `losses ${JSON.stringify({ ours: ours.losses, theirs: theirs.losses })}`).to.be.below(LOSS)
      const rows = tokenRows(3, 77)
      const [mine, expected] = [await referenceLogits(output, rows), await referenceLogits(saved, rows)]
      for (const [i, logits] of expected.entries()) expect(difference(mine[i] ?? [], logits), `row ${i}`).to.be.below(1e-3)
    })
  }
})

/** The two trained adapters, both read by PEFT. */
async function sameLogits(model: string, ours: string, theirs: string): Promise<void> {
  const rows = tokenRows(3, 61)
  const [mine, expected] = [await referenceLogits(model, rows, path.resolve(ours)), await referenceLogits(model, rows, theirs)]
  for (const [i, logits] of expected.entries()) expect(difference(mine[i] ?? [], logits), `row ${i}`).to.be.below(1e-3)
}
