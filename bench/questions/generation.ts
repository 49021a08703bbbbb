// Greedy generation for one row and for sixteen, against transformers' generate, and against what reading every weight
// once a token allows.
import fs from 'node:fs'
import path from 'node:path'
import { generator, makeInputs } from '../inputs.js'
import { findHarness, rateOf } from '../matmul.js'
import { childCommand, jsonLines, referenceCommand } from '../programs.js'
import type { Question } from '../question.js'
import type { Settings } from '../settings.js'
import { figure, type Figure } from '../statistics.js'
import { markdownTable, spread } from '../table.js'

const PROMPT_TOKENS = 32
const BATCHES = [1, 16]

interface Outcome { tokensPerSecond: Figure; first: number[] }
interface Generation { shape: string; batch: number; native: Outcome; reference: Outcome | null; weightBytes: number }

export const generation: Question = {
  name: 'generation',
  asks: 'tokens/s of one row and of sixteen, against transformers generate and the weight-read ceiling',
  async ask(settings, say) {
    const newTokens = settings.depth === 'quick' ? 16 : 64
    const runs = settings.depth === 'quick' ? 2 : 3
    const bandwidth = await readBandwidth(settings)
    const results: Generation[] = []
    for (const shape of settings.depth === 'full' ? settings.shapes : settings.shapes.slice(0, 1)) {
      const { model } = makeInputs(settings.cache, shape, settings.dtype)
      for (const batch of BATCHES) {
        const random = generator(5)
        const prompts = Array.from({ length: batch }, () => Array.from({ length: PROMPT_TOKENS }, () => 2 + Math.floor(random() * (shape.config.vocab_size - 2))))
        const args = ['--model', model, '--prompts', JSON.stringify(prompts), '--new-tokens', String(newTokens), '--runs', String(runs), '--dtype', settings.dtype]
        const native = outcome(await jsonLines(childCommand('generate', args)))
        const reference = settings.python === null ? null : outcome(await jsonLines(referenceCommand(settings.python, ['generate', ...args])))
        results.push({ shape: shape.title.split(',')[0] ?? shape.name, batch, native, reference, weightBytes: fs.statSync(path.join(model, 'model.safetensors')).size })
        say(`  ${shape.name}, ${batch} rows: ft-native ${native.tokensPerSecond.median.toFixed(1)} tokens/s${reference === null ? '' : `, transformers ${reference.tokensPerSecond.median.toFixed(1)}`}`)
      }
    }
    const columns = ['shape', 'rows', 'ft-native tokens/s', 'transformers tokens/s', 'ratio', 'of the weight-read ceiling', 'same first tokens']
    const note = `${PROMPT_TOKENS} tokens of prompt, ${newTokens} new ones a row, prompt included in the time. Ceiling: ${bandwidth === null ? 'not measured' : `${bandwidth.toFixed(1)} GB/s read`}, each weight once a token.`
    return { result: { bandwidth, newTokens, results }, table: [markdownTable(columns, results.map((result) => line(result, bandwidth))), '', note].join('\n') }
  },
}

function outcome(events: Record<string, unknown>[]): Outcome {
  const runs = events.filter((event) => event.event === 'run')
  if (runs.length === 0) throw new Error('generation: no run event')
  return { tokensPerSecond: figure(runs.map((run) => Number(run.tokens) / Number(run.seconds))), first: (runs[0]?.first ?? []) as number[] }
}

function line({ shape, batch, native, reference, weightBytes }: Generation, bandwidth: number | null): string[] {
  const ceiling = bandwidth === null ? null : (bandwidth * 1e9) / weightBytes
  const same = native.first.filter((token, row) => token === reference?.first[row]).length
  return [
    shape, String(batch), spread(native.tokensPerSecond, 1, 1), reference === null ? '' : spread(reference.tokensPerSecond, 1, 1),
    reference === null ? '' : `${(native.tokensPerSecond.median / reference.tokensPerSecond.median).toFixed(2)} ×`,
    // With several rows a weight that is read once serves all of them: the ceiling is that of one row.
    ceiling === null || batch > 1 ? '' : `${(100 * native.tokensPerSecond.median / ceiling).toFixed(0)} % of ${ceiling.toFixed(0)}`,
    reference === null ? '' : `${same} of ${batch}`,
  ]
}

/** GB/s: the better of torch's sum over a gigabyte and, through the harness, products with one row; null without both. */
async function readBandwidth(settings: Settings): Promise<number | null> {
  const found: number[] = []
  if (settings.python !== null) found.push(Number((await jsonLines(referenceCommand(settings.python, ['bandwidth'])))[0]?.gigabytes_per_second))
  const harness = findHarness()
  // 2·k·n operations on k·n weights of 2 or 4 bytes.
  if (harness !== null) found.push(await rateOf({ program: harness, args: ['matmul', '--shapes', '1x8192x8192', '--dtype', settings.dtype] }) * 1000 * (settings.dtype === 'bf16' ? 1 : 2))
  return found.length === 0 ? null : Math.max(...found)
}
