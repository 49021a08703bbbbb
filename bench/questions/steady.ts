// A thousand steps of a tiny model: the resident memory of the last must be that of the early ones.
import path from 'node:path'
import { makeInputs, rowsFile } from '../inputs.js'
import { nativeCli, statusOf, trainingRun } from '../programs.js'
import type { Question } from '../question.js'
import type { Shape } from '../shapes.js'
import { figure } from '../statistics.js'
import { markdownTable } from '../table.js'

const TINY: Shape = {
  name: 'tiny', title: 'tiny', batchSize: 4, sequenceLength: 48,
  config: { model_type: 'llama', vocab_size: 512, hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2,
    max_position_embeddings: 2048, rms_norm_eps: 1e-5, rope_theta: 10000, tie_word_embeddings: true },
}
/** Collections of garbage move the resident set by some megabytes, and the log of the run grows by some hundred bytes a step. */
const FLAT_BYTES = 8 * 2 ** 20

export const steady: Question = {
  name: 'steady',
  asks: 'resident memory over a thousand steps',
  async ask(settings) {
    const steps = settings.depth === 'quick' ? 300 : 1000
    const inputs = makeInputs(settings.cache, TINY, 'fp32')
    // Rows of every length, so that no two batches have the same shape.
    const rows = rowsFile(settings.cache, 'steady', Array.from({ length: 97 }, (_, i) => 8 + ((i * 37) % 56)), TINY.config.vocab_size)
    const resident: number[] = []
    await trainingRun(nativeCli(['train', '--json', '--quiet', '--model', inputs.model, '--adapter', inputs.adapter, '--data', rows, '--output', path.join(settings.cache, 'output'), '--overwrite', '--max-steps', String(steps),
      '--save-steps', String(steps), '--validation-ratio', '0', '--dtype', 'fp32', '--device', 'cpu']), (pid) => resident.push(statusOf(pid, 'VmRSS')))
    // The first steps fill caches and pools.
    const part = (from: number, to: number) => figure(resident.slice(Math.floor(from * resident.length), Math.floor(to * resident.length)).filter((bytes) => bytes > 0)).median
    const [early, late] = [part(0.2, 0.3), part(0.9, 1)]
    const perStep = (late - early) / (0.7 * steps)
    const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
    return {
      result: { steps, earlyRssBytes: early, lateRssBytes: late, bytesPerStep: perStep, resident: resident.filter((_bytes, i) => i % Math.ceil(steps / 50) === 0) },
      table: markdownTable(['steps', 'resident at 25 %', 'resident at the end', 'growth a step'], [[String(steps), mib(early), mib(late), `${(perStep / 1024).toFixed(2)} KiB`]]),
      ...(late - early > FLAT_BYTES ? { objection: `resident memory grows: ${mib(late - early)} in ${Math.round(0.7 * steps)} steps` } : {}),
    }
  },
}
