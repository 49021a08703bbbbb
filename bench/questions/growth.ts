// Rows from 256 to 4096 tokens: what a token costs, and what memory takes. A micro-batch is one row and a step always has the
// same tokens, so that the time a token should grow by attention's share alone, and memory in proportion to the row.
import path from 'node:path'
import { makeInputs, rowsFile } from '../inputs.js'
import { nativeCli, referenceCommand, trainingRun, type Run, untilTheEnd } from '../programs.js'
import type { Question } from '../question.js'
import { flopsPerToken, type Shape } from '../shapes.js'
import { figure } from '../statistics.js'
import { gigabytes, markdownTable } from '../table.js'

const LENGTHS = [256, 1024, 4096]
const ALL_LENGTHS = [256, 512, 1024, 2048, 4096]
/** Longer rows take the reference minutes a step, and gigabytes. */
const REFERENCE_LONGEST = 1024

interface Point { length: number; tokensPerSecond: number; peakRssBytes: number }
interface Growth { shape: string; native: Point[]; reference: Point[]; expected: number[] }

export const growth: Question = {
  name: 'growth',
  asks: 'speed and memory by row length, 256 to 4096 tokens',
  async ask(settings, say) {
    const results: Growth[] = []
    for (const shape of settings.depth === 'full' ? settings.shapes : settings.shapes.slice(0, 1)) {
      const inputs = makeInputs(settings.cache, shape, settings.dtype)
      const growth: Growth = { shape: shape.title.split(',')[0] ?? shape.name, native: [], reference: [], expected: [] }
      for (const length of settings.depth === 'full' ? ALL_LENGTHS : LENGTHS) {
        const perStep = settings.depth === 'quick' ? 1 : (LENGTHS.at(-1) ?? length) / length
        const steps = settings.depth === 'full' ? 3 : 2
        const rows = rowsFile(settings.cache, `growth-${length}-${perStep}-${shape.config.vocab_size}`, Array<number>(2 * perStep).fill(length), shape.config.vocab_size)
        const shared = ['--model', inputs.model, '--adapter', inputs.adapter, '--data', rows, '--dtype', settings.dtype, '--batch-size', '1']
        growth.native.push(point(length, await trainingRun(nativeCli(['train', '--json', ...untilTheEnd, ...shared, '--output', path.join(settings.cache, 'output'), '--overwrite', '--max-steps', String(steps),
          '--gradient-accumulation-steps', String(perStep), '--max-seq-length', String(length), '--validation-ratio', '0', '--scheduler', 'constant', '--warmup-ratio', '0', '--device', 'cpu', '--no-gradient-checkpointing']))))
        if (settings.depth === 'full' && settings.python !== null && length <= REFERENCE_LONGEST) {
          // One row a step: the update of an adapter is next to nothing.
          growth.reference.push(point(length, await trainingRun(referenceCommand(settings.python, ['train', ...shared, '--steps', '4']))))
        }
        growth.expected.push(flops(shape, length) / flops(shape, LENGTHS[0] ?? length))
        say(`  ${shape.name}, ${length} tokens a row: ${growth.native.at(-1)?.tokensPerSecond.toFixed(0) ?? ''} tokens/s`)
      }
      results.push(growth)
    }
    const columns = ['shape', 'tokens a row', 'tokens/s', 'time a token', 'by its FLOPs', 'peak memory', 'memory a token', 'reference tokens/s', 'reference memory']
    return { result: results, table: [markdownTable(columns, results.flatMap(lines)), '', 'Time a token is relative to the shortest rows; by its FLOPs is what attention alone would add. Memory a token is the growth since the row above.'].join('\n') }
  },
}

function flops(shape: Shape, sequenceLength: number): number {
  return flopsPerToken({ ...shape, sequenceLength }, 'lora')
}

/** The first step warms up. */
function point(length: number, run: Run): Point {
  return { length, tokensPerSecond: figure(run.stepSeconds.slice(1).map((seconds, i) => (run.stepTokens[i + 1] ?? 0) / seconds)).median, peakRssBytes: run.peakRssBytes }
}

function lines({ shape, native, reference, expected }: Growth): string[][] {
  return native.map(({ length, tokensPerSecond, peakRssBytes }, i) => {
    const before = native[i - 1]
    const other = reference.find((entry) => entry.length === length)
    return [
      shape, String(length), tokensPerSecond.toFixed(0), `${((native[0]?.tokensPerSecond ?? NaN) / tokensPerSecond).toFixed(2)} ×`, `${(expected[i] ?? NaN).toFixed(2)} ×`, gigabytes(peakRssBytes),
      before === undefined ? '' : `${((peakRssBytes - before.peakRssBytes) / (length - before.length) / 1e3).toFixed(0)} kB`, other?.tokensPerSecond.toFixed(0) ?? '', other === undefined ? '' : gigabytes(other.peakRssBytes),
    ]
  })
}
