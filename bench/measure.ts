// One row of the table: the two programs on one shape and method, run in turns.
import path from 'node:path'
import type { Inputs } from './inputs.js'
import type { MatrixRates } from './matmul.js'
import { nativeCli, referenceCommand, trainingRun, type Command, type Run, untilTheEnd } from './programs.js'
import type { Settings } from './settings.js'
import { flopsPerToken, type Shape } from './shapes.js'
import { agreement, figure, type Agreement, type Figure } from './statistics.js'

export type Method = 'lora' | 'lora-checkpointing' | 'full'

export interface Program {
  tokensPerSecond: Figure
  peakRssBytes: Figure
  coldStartSeconds: Figure
  /** tokens/s × FLOPs a token over the matrix-product rate of the same run. */
  utilization: number
  losses: number[]
}

export interface Result {
  shape: string
  title: string
  method: Method
  dtype: string
  matrixTflops: MatrixRates
  flopsPerToken: number
  native: Program | null
  reference: Program | null
  agreement: Agreement | null
  ratios: { tokensPerSecond: number; memory: number; coldStart: number } | null
}

export interface MeasureOptions {
  shape: Shape
  method: Method
  inputs: Inputs
  settings: Settings
  rates: MatrixRates
  say: (text: string) => void
}

const LEARNING_RATE = { lora: 1e-3, full: 1e-4 }

export async function measure(options: MeasureOptions): Promise<Result> {
  const { shape, method, settings, say } = options
  const runs: { native: Run[]; reference: Run[] } = { native: [], reference: [] }
  for (let i = 0; i < settings.runs; i++) {
    if (settings.native) runs.native.push(await trainingRun(nativeCommand(options)))
    if (settings.python !== null) runs.reference.push(await trainingRun(pythonCommand(options, settings.python)))
    say(`  ${shape.name} ${method} run ${i + 1}/${settings.runs}: ${describe('ft-native', runs.native.at(-1), options)}${describe('reference', runs.reference.at(-1), options)}`)
  }
  const native = runs.native.length > 0 ? summarize(runs.native, options) : null
  const reference = runs.reference.length > 0 ? summarize(runs.reference, options) : null
  return {
    shape: shape.name, title: shape.title, method, dtype: settings.dtype, matrixTflops: options.rates,
    flopsPerToken: flopsPerToken(shape, base(method)), native, reference,
    agreement: native && reference ? agreement(native.losses, reference.losses, settings.dtype === 'bf16' ? 1e-2 : 1e-3) : null,
    ratios: native && reference ? {
      tokensPerSecond: native.tokensPerSecond.median / reference.tokensPerSecond.median,
      memory: native.peakRssBytes.median / reference.peakRssBytes.median,
      coldStart: reference.coldStartSeconds.median / native.coldStartSeconds.median,
    } : null,
  }
}

function base(method: Method): 'lora' | 'full' {
  return method === 'full' ? 'full' : 'lora'
}

/** The rate of a run: the median of its steps without the first, which warms up. */
function rate(run: Run, tokensPerStep: number): number {
  return tokensPerStep / figure(run.stepSeconds.slice(1)).median
}

function describe(name: string, run: Run | undefined, { inputs }: MeasureOptions): string {
  if (run === undefined) return ''
  return `${name} ${rate(run, inputs.tokensPerStep).toFixed(0)} tokens/s, ${(run.peakRssBytes / 1e9).toFixed(2)} GB, first step ${run.coldStartSeconds.toFixed(1)} s  `
}

function summarize(runs: Run[], { shape, method, inputs, rates }: MeasureOptions): Program {
  const tokensPerSecond = figure(runs.map((run) => rate(run, inputs.tokensPerStep)))
  return {
    tokensPerSecond,
    peakRssBytes: figure(runs.map((run) => run.peakRssBytes)),
    coldStartSeconds: figure(runs.map((run) => run.coldStartSeconds)),
    utilization: tokensPerSecond.median * flopsPerToken(shape, base(method)) / (rates.best * 1e12),
    losses: runs[0]?.losses ?? [],
  }
}

function nativeCommand({ shape, method, inputs, settings }: MeasureOptions): Command {
  const args = ['train', '--json', ...untilTheEnd, '--model', inputs.model, '--data', inputs.rows, '--output', path.join(settings.cache, 'output'), '--overwrite',
    '--max-steps', String(settings.steps), '--batch-size', String(shape.batchSize), '--max-seq-length', String(shape.sequenceLength),
    '--no-shuffle', '--validation-ratio', '0', '--scheduler', 'constant', '--warmup-ratio', '0', '--weight-decay', '0',
    '--learning-rate', String(LEARNING_RATE[base(method)]), '--dtype', settings.dtype, '--device', 'cpu',
    method === 'lora-checkpointing' ? '--gradient-checkpointing' : '--no-gradient-checkpointing']
  return nativeCli([...args, ...(method === 'full' ? ['--method', 'full'] : ['--method', 'lora', '--adapter', inputs.adapter])])
}

function pythonCommand({ shape, method, inputs, settings }: MeasureOptions, python: string): Command {
  const args = ['train', '--model', inputs.model, '--data', inputs.rows, '--steps', String(settings.steps), '--batch-size', String(shape.batchSize),
    '--learning-rate', String(LEARNING_RATE[base(method)]), '--dtype', settings.dtype, '--method', base(method)]
  if (method !== 'full') args.push('--adapter', inputs.adapter)
  if (method === 'lora-checkpointing') args.push('--gradient-checkpointing')
  return referenceCommand(python, args)
}
