// What a base in 4 bits costs: the loss after 200 steps on the demo's data beside LoRA's on the base as it is, and the time of
// a step beside LoRA's on a shape, in turns.
import fs from 'node:fs'
import path from 'node:path'
import { makeInputs } from '../inputs.js'
import { jsonLines, nativeCli, repository, trainingRun, type Command, untilTheEnd } from '../programs.js'
import type { Question } from '../question.js'
import type { Settings } from '../settings.js'
import { figure } from '../statistics.js'
import { markdownTable } from '../table.js'

const METHODS = ['lora', 'qlora'] as const
type Method = (typeof METHODS)[number]

const MOST_LOSS = 0.01
const MOST_TIME = 1.3

function demoCommand(settings: Settings, method: Method, steps: number): Command {
  const demo = path.join(repository, 'examples', 'demo')
  return nativeCli(['train', '--json', '--quiet', '--model', path.join(demo, 'model'), '--data', path.join(demo, 'data.jsonl'), '--output', path.join(settings.cache, `demo-${method}`), '--overwrite',
    '--method', method, '--max-steps', String(steps), '--save-steps', String(steps), '--eval-steps', String(steps), '--learning-rate', '1e-3', '--dtype', settings.dtype, '--device', 'cpu'])
}

/** The loss on the held-out rows after the last step. */
async function finalLoss(settings: Settings, method: Method, steps: number): Promise<number> {
  const events = await jsonLines(demoCommand(settings, method, steps))
  const loss = events.filter(({ event }) => event === 'eval').at(-1)?.eval_loss
  if (typeof loss !== 'number') throw new Error(`${method}: no evaluation`)
  return loss
}

function stepCommand(settings: Settings, method: Method): { command: Command; tokensPerStep: number } {
  const shape = settings.shapes[0]
  if (shape === undefined) throw new Error('no shape')
  const inputs = makeInputs(settings.cache, shape, settings.dtype)
  const output = path.join(settings.cache, 'output')
  return {
    tokensPerStep: inputs.tokensPerStep,
    command: nativeCli(['train', '--json', '--quiet', ...untilTheEnd, '--model', inputs.model, '--data', inputs.rows, '--output', output, '--overwrite', '--method', method, '--adapter', inputs.adapter,
      '--max-steps', String(settings.steps), '--batch-size', String(shape.batchSize), '--max-seq-length', String(shape.sequenceLength), '--no-shuffle', '--validation-ratio', '0',
      '--dtype', settings.dtype, '--device', 'cpu', '--no-gradient-checkpointing']),
  }
}

export const qlora: Question = {
  name: 'qlora',
  slow: true,
  asks: 'loss and step time on a base in 4 bits, beside LoRA on the base as it is',
  async ask(settings, say) {
    const steps = settings.depth === 'quick' ? 20 : 200
    const losses = { lora: await finalLoss(settings, 'lora', steps), qlora: await finalLoss(settings, 'qlora', steps) }
    const more = losses.qlora / losses.lora - 1
    say(`  after ${steps} steps: lora ${losses.lora.toFixed(4)}, qlora ${losses.qlora.toFixed(4)}`)
    const seconds: Record<Method, number[]> = { lora: [], qlora: [] }
    const peaks: Record<Method, number> = { lora: 0, qlora: 0 }
    for (let run = 0; run < settings.runs; run++) {
      for (const method of METHODS) {
        const result = await trainingRun(stepCommand(settings, method).command)
        seconds[method].push(figure(result.stepSeconds.slice(1)).median)
        peaks[method] = Math.max(peaks[method], result.peakRssBytes)
      }
      say(`  run ${run + 1}/${settings.runs}: lora ${seconds.lora.at(-1)?.toFixed(3)} s, qlora ${seconds.qlora.at(-1)?.toFixed(3)} s a step`)
    }
    fs.rmSync(path.join(settings.cache, 'output'), { recursive: true, force: true })
    const slower = figure(seconds.qlora.map((value, run) => value / (seconds.lora[run] ?? Number.NaN)))
    const objections = [
      ...(steps >= 200 && !(Math.abs(more) <= MOST_LOSS) ? [`losses differ by ${(100 * more).toFixed(2)} %`] : []),
      ...(slower.median > MOST_TIME ? [`a step takes ${slower.median.toFixed(2)} times LoRA's`] : []),
    ]
    const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`
    return {
      result: { steps, losses, lossRatio: 1 + more, secondsPerStep: seconds, timeRatio: slower, peakRssBytes: peaks },
      table: markdownTable(['', 'loss after ' + String(steps) + ' steps', 'seconds a step', 'peak memory'], [
        ...METHODS.map((method) => [method, losses[method].toFixed(4), figure(seconds[method]).median.toFixed(3), gigabytes(peaks[method])]),
        ['qlora / lora', (1 + more).toFixed(4), slower.median.toFixed(2), (peaks.qlora / peaks.lora).toFixed(2)],
      ]),
      ...(objections.length > 0 ? { objection: objections.join('; ') } : {}),
    }
  },
}
