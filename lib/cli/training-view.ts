// How a training run looks to a person: a bar on a terminal while it goes, a few lines when it is over.
import path from 'node:path'
import type { ResolvedConfig } from '../core/config/index.js'
import type { TrainingEvent } from '../trainers/events.js'
import type { TrainingResult } from '../trainers/factory.js'
import type { Progress } from '../utils/progress.js'
import { formatBytes, formatSeconds, isInteractive } from '../utils/terminal.js'
import type { CliContext } from './context.js'

export interface TrainingBar {
  show(event: TrainingEvent): void
  stop(): void
}

/** Only on a terminal: elsewhere the log tells the same. */
export function trainingBar(context: Pick<CliContext, 'progress'>, interactive = isInteractive(process.stderr)): TrainingBar {
  let bar: Progress | null = null
  let validation = ''
  return {
    show(event) {
      if (!interactive) return
      if (event.event === 'start') {
        bar = context.progress({ total: event.max_steps, label: 'training', unit: 'steps' })
        bar.update(event.step)
      }
      if (event.event === 'eval') validation = `, validation ${event.eval_loss.toFixed(4)}`
      if (event.event === 'step') {
        const loss = event.loss === null ? 'not finite' : event.loss.toFixed(4)
        bar?.update(event.step, `loss ${loss}${validation}, ${Math.round(event.tokens_per_second)} tokens/s`)
      }
      if (event.event === 'end') this.stop()
    },
    stop() {
      bar?.stop()
      bar = null
    },
  }
}

export function trainingSummary(config: ResolvedConfig, result: TrainingResult): string[] {
  const where = relative(result.output)
  if (result.estimatedSeconds !== null) {
    return [
      'Dry run passed: the longest batch trains, a checkpoint saves and resumes byte for byte.',
      `Peak memory ${formatBytes(result.peakRssBytes)}; the whole run takes at most about ${formatSeconds(result.estimatedSeconds)}. Nothing was left in ${where}.`,
    ]
  }
  if (result.status === 'interrupted') {
    const kept = result.checkpoint === null ? 'nothing was saved yet' : `saved in ${relative(result.checkpoint)}`
    return [`Stopped after step ${result.steps}: ${kept}. Go on with: ft-native train --resume ${where}`]
  }
  const losses = result.trainLoss === null ? '' : `, training loss ${result.trainLoss.toFixed(4)}`
  const rate = result.trainSeconds > 0 ? `, ${Math.round(result.tokens / result.trainSeconds)} tokens/s` : ''
  const lines = [`${result.steps} steps in ${formatSeconds(result.trainSeconds)}${losses}${rate}`]
  if (result.evalLoss !== null) {
    const best = result.bestModelCheckpoint === null || result.bestMetric === null ? '' : ` (best ${result.bestMetric.toFixed(4)} in ${relative(result.bestModelCheckpoint)})`
    const before = result.evalLossFirst !== null && result.evalLossFirst !== result.evalLoss ? `${result.evalLossFirst.toFixed(4)} → ` : ''
    lines.push(`validation loss ${before}${result.evalLoss.toFixed(4)}${best}`)
  }
  if (result.skippedSteps > 0) lines.push(`${result.skippedSteps} steps were not applied: their loss or gradient was not finite`)
  const { method, loadBestModelAtEnd } = config.training
  const best = loadBestModelAtEnd && result.bestModelCheckpoint !== null ? `, with the weights of ${path.basename(result.bestModelCheckpoint)}: the lowest validation loss` : ''
  lines.push(`${method === 'full' ? 'The model' : 'The adapter'} is in ${where}${best}`)
  return lines
}

/** Short from here, whole from elsewhere. */
function relative(target: string): string {
  const short = path.relative(process.cwd(), path.resolve(target))
  return short === '' ? '.' : short.startsWith('..') ? path.resolve(target) : short
}
