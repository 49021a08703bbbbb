// The table that a person reads; bench/README.md keeps copies of it.
import type { Program, Result } from './measure.js'
import { markdownTable, spread } from './table.js'

const COLUMNS = ['shape', 'method', 'program', 'tokens/s', 'peak memory', 'first step', 'of matrix rate', 'losses agree']

export function table(results: Result[]): string {
  const rows = results.flatMap((result) => [
    line(result, 'ft-native', result.native), line(result, 'reference', result.reference), ratioLine(result),
  ]).filter((row) => row !== null)
  const notes = results.map((result) =>
    `${result.title}: matrix products ${rates(result)}; ${(result.flopsPerToken / 1e9).toFixed(3)} GFLOPs a token (${result.method === 'full' ? '6N' : '4N'} + 12·L·D·S/2)`)
  return [markdownTable(COLUMNS, rows), '', ...new Set(notes)].join('\n')
}

function line(result: Result, name: string, program: Program | null): string[] | null {
  if (program === null) return null
  return [result.title, `${result.method}, ${result.dtype}`, name, spread(program.tokensPerSecond, 1, 0), `${spread(program.peakRssBytes, 1e9, 2)} GB`,
    `${spread(program.coldStartSeconds, 1, 1)} s`, `${(100 * program.utilization).toFixed(0)} %`, name === 'ft-native' ? agrees(result) : '']
}

function ratioLine(result: Result): string[] | null {
  if (result.ratios === null) return null
  const { tokensPerSecond, memory, coldStart } = result.ratios
  return ['', '', 'ft-native against reference', `${tokensPerSecond.toFixed(2)} ×`, `${memory.toFixed(2)} ×`, `${coldStart.toFixed(1)} × sooner`, '', '']
}

function agrees({ agreement }: Result): string {
  if (agreement === null) return ''
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`
  return `${agreement.agrees ? 'yes' : 'NO'}: within ${percent(agreement.largestDifference)} while the loss fell ${percent(agreement.fall)}`
}

function rates(result: Result): string {
  const { harness, torch } = result.matrixTflops
  return [harness === null ? null : `ft_bench ${harness.toFixed(2)}`, torch === null ? null : `torch ${torch.toFixed(2)}`]
    .filter((text) => text !== null).join(', ') + ` TFLOP/s ${result.dtype}`
}
