// What `benchmark` shows to a person.
import type { BenchmarkReport, Spread } from '../trainers/benchmark/report.js'
import { formatBytes, formatCount } from '../utils/terminal.js'
import { facts } from './inspect-model.js'

export function benchmarkText(report: BenchmarkReport): string {
  const { environment, rows, memory, largest_batch: largest } = report
  const unit = report.packing ? 'windows' : 'rows'
  const accumulation = report.gradient_accumulation_steps > 1 ? ` × ${report.gradient_accumulation_steps}` : ''
  const machine = Object.entries(environment).map(([name, value]) => `${name} ${String(value)}`)
  return facts([
    ['model', `${report.model}, ${report.model_type}, ${formatCount(report.parameters)} parameters`],
    ['method', `${report.method}, ${formatCount(report.trainable_parameters)} trainable, ${report.dtype}, gradient checkpointing ${report.gradient_checkpointing ? `of ${report.checkpointed_layers} layers` : 'off'}`],
    ['machine', machine.join(', ')],
    ['batch', `${report.batch_size}${accumulation} ${unit}, ${formatCount(Math.round(report.tokens_per_step.median))} tokens a step; ${rows.source === 'random' ? `random rows of ${rows.longest_tokens} tokens` : `${formatCount(rows.count)} rows of up to ${rows.longest_tokens} tokens`}`],
    ['tokens/s', `${spread(report.tokens_per_second, rate)}, median and range of ${report.steps} steps after ${report.warmup_steps}`],
    ['step', spread(report.step_seconds, seconds)],
    ...phaseFacts(report),
    ['  data', `${seconds(report.data_seconds)}, while the engine works on the step before`],
    ['first step', `${seconds(report.first_step_seconds)} after the process began`],
    ['memory', `peak ${formatBytes(memory.peak_rss_bytes)}, estimated ${formatBytes(memory.estimated_rss_bytes)}; ${formatBytes(memory.loaded_rss_bytes)} before the first step`],
    ['largest batch', largest.batch_size === null ? largest.how : `${largest.exact ? 'about' : 'at least'} ${formatCount(largest.batch_size)} ${unit} of ${largest.tokens_each} tokens: ${largest.how}`],
    ...(report.skipped_steps > 0 ? [['warning', `${report.skipped_steps} steps had a loss or gradient that is not finite`] as const] : []),
  ])
}

function phaseFacts({ phases, step_seconds: step }: BenchmarkReport): [string, string][] {
  if (phases === null) return []
  const line = (name: string, value: number): [string, string] => [`  ${name}`, `${seconds(value)}, ${((100 * value) / step.median).toFixed(0)} %`]
  return [line('forward', phases.forward_seconds), line('backward', phases.backward_seconds), line('optimizer', phases.optimizer_seconds), line('other', phases.other_seconds)]
}

function spread({ median, min, max }: Spread, show: (value: number) => string): string {
  return `${show(median)} (${show(min)} to ${show(max)})`
}

function rate(value: number): string {
  return value >= 100 ? formatCount(Math.round(value)) : value.toPrecision(3)
}

function seconds(value: number): string {
  return value >= 1 ? `${value.toFixed(2)} s` : `${(1000 * value).toPrecision(3)} ms`
}
