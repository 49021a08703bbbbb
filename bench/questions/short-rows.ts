// Rows far shorter than the window, as instructions are: log-normal lengths with a mean of about 120 tokens, a window of
// 1024. ft-native with --packing, against transformers padding each batch to its longest row, and against TRL's packing.
// Every program sees every row once, at a learning rate that changes nothing: the mean loss over all tokens must agree.
import path from 'node:path'
import { generator, makeInputs, rowsFile } from '../inputs.js'
import { nativeCli, referenceCommand, trainingRun, type Command, type Run } from '../programs.js'
import type { Question } from '../question.js'
import type { Settings } from '../settings.js'
import type { Shape } from '../shapes.js'
import { figure, type Figure } from '../statistics.js'
import { gigabytes, markdownTable, spread } from '../table.js'

const WINDOW = 1024
const MEAN = 120
const SIGMA = 0.8
/** Of the padded reference: some 2,800 tokens with their padding. Windows of the others: 2,048 tokens. */
const PADDED_ROWS = 8
const WINDOWS = 2
const RATE = '1e-9'

interface Program { name: string; command: Command }
interface Row { program: string; tokensPerSecond: Figure; peakRssBytes: number; loss: number; steps: number; problem?: string }
interface ShortRows { shape: string; rows: number; meanTokens: number; programs: Row[] }

export const shortRows: Question = {
  name: 'short-rows',
  asks: 'rows of about 120 tokens: packing against padding, and against TRL packing',
  async ask(settings, say) {
    const shapes = settings.depth === 'full' ? settings.shapes : settings.shapes.slice(0, 1)
    const results: ShortRows[] = []
    for (const shape of shapes) results.push(await measureShape(shape, settings, say))
    const differ = results.flatMap(({ programs }) => programs).filter(({ loss, problem }, _i, all) => problem === undefined && !agrees(loss, all[0]?.loss ?? NaN, settings))
    return {
      result: results,
      table: [markdownTable(['shape', 'program', 'row tokens/s', 'against ft-native', 'peak memory', 'mean loss'], results.flatMap(lines)), '', ...notes(results)].join('\n'),
      ...(differ.length > 0 ? { objection: `the mean loss of ${differ.map(({ program }) => program).join(', ')} differs: it did not compute the same rows` } : {}),
    }
  },
}

async function measureShape(shape: Shape, settings: Settings, say: (text: string) => void): Promise<ShortRows> {
  const count = { quick: 34, all: 48, full: 136 }[settings.depth]
  const lengths = logNormalLengths(count)
  const inputs = makeInputs(settings.cache, shape, settings.dtype)
  const rows = rowsFile(settings.cache, `short-rows-${count}-${shape.config.vocab_size}`, lengths, shape.config.vocab_size)
  const shared = ['--model', inputs.model, '--adapter', inputs.adapter, '--data', rows, '--dtype', settings.dtype, '--learning-rate', RATE]
  const programs: Program[] = [{
    name: `ft-native --packing, ${WINDOWS} windows`,
    command: nativeCli(['train', '--json', ...shared, '--output', path.join(settings.cache, 'output'), '--overwrite', '--epochs', '1', '--packing', '--max-seq-length', String(WINDOW),
      '--batch-size', String(WINDOWS), '--validation-ratio', '0', '--scheduler', 'constant', '--warmup-ratio', '0', '--device', 'cpu', '--no-gradient-checkpointing']),
  }]
  if (settings.python !== null) {
    const reference = (...args: string[]) => referenceCommand(settings.python as string, ['train', ...shared, '--steps', '0', ...args])
    programs.push({ name: `transformers, ${PADDED_ROWS} rows padded to the longest`, command: reference('--batch-size', String(PADDED_ROWS)) })
    programs.push({ name: `TRL bfd packing, sdpa, ${WINDOWS} windows`, command: reference('--batch-size', String(WINDOWS), '--packing', '--window', String(WINDOW)) })
  }
  const runs = new Map<string, Run[]>(programs.map(({ name }) => [name, []]))
  const problems = new Map<string, string>()
  for (let i = 0; i < (settings.depth === 'full' ? settings.runs : 1); i++) {
    for (const { name, command } of programs) {
      if (problems.has(name)) continue
      try {
        const run = await trainingRun(command)
        runs.get(name)?.push(run)
        say(`  ${shape.name} run ${i + 1}, ${name}: ${rate(run).toFixed(0)} tokens/s, ${gigabytes(run.peakRssBytes)}`)
      } catch (error) {
        // TRL may be missing, or refuse; the others still count.
        if (!name.startsWith('TRL')) throw error
        problems.set(name, error instanceof Error ? (error.message.trim().split('\n').at(-2) ?? error.message) : String(error))
      }
    }
  }
  return {
    shape: shape.title.split(',')[0] ?? shape.name, rows: count, meanTokens: lengths.reduce((sum, length) => sum + length, 0) / count,
    programs: programs.map(({ name }) => summary(name, runs.get(name) ?? [], problems.get(name))),
  }
}

/** Without the first step, which warms up. */
function rate({ stepTokens, stepSeconds }: Run): number {
  const sum = (values: number[]) => values.slice(1).reduce((total, value) => total + value, 0)
  return sum(stepTokens) / sum(stepSeconds)
}

function meanLoss({ losses, stepSupervised }: Run): number {
  return losses.reduce((sum, loss, i) => sum + loss * (stepSupervised[i] ?? 0), 0) / stepSupervised.reduce((sum, count) => sum + count, 0)
}

function summary(program: string, runs: Run[], problem: string | undefined): Row {
  const [first] = runs
  const row = { program, tokensPerSecond: figure(runs.map(rate)), peakRssBytes: figure(runs.map((run) => run.peakRssBytes)).median, loss: first === undefined ? NaN : meanLoss(first), steps: first?.losses.length ?? 0 }
  return problem === undefined ? row : { ...row, problem }
}

function agrees(a: number, b: number, { dtype }: Pick<Settings, 'dtype'>): boolean {
  return Math.abs(a - b) / b < (dtype === 'bf16' ? 1e-2 : 1e-3)
}

function lines({ shape, programs }: ShortRows): string[][] {
  const ours = programs[0]?.tokensPerSecond.median ?? NaN
  return programs.map((row, i) => row.problem !== undefined ? [shape, row.program, 'did not run', row.problem, '', ''] : [
    shape, row.program, spread(row.tokensPerSecond, 1, 0), i === 0 ? '' : `ft-native ${(ours / row.tokensPerSecond.median).toFixed(2)} ×`, gigabytes(row.peakRssBytes), row.loss.toFixed(4),
  ])
}

function notes(results: ShortRows[]): string[] {
  return results.map(({ shape, rows, meanTokens, programs }) =>
    `${shape}: ${rows} rows, ${meanTokens.toFixed(0)} tokens on average (log-normal, sigma ${SIGMA}), each seen once; steps: ${programs.map(({ steps }) => steps).join(', ')}. Padding is not counted.`)
}

/** Scaled to the mean MEAN, then cut at 8 and at the window. */
function logNormalLengths(count: number): number[] {
  const random = generator(11)
  const draws = Array.from({ length: count }, () => Math.exp(SIGMA * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())))
  const scale = (MEAN * count) / draws.reduce((sum, draw) => sum + draw, 0)
  return draws.map((draw) => Math.min(WINDOW, Math.max(8, Math.round(scale * draw))))
}
