// The matrix-product rate of the same run, at the shape's own sizes: through the C++ harness where it is
// built, and through torch. `best` is what utilisation is measured against.
import fs from 'node:fs'
import path from 'node:path'
import { jsonLines, referenceCommand, repository } from './programs.js'
import type { Settings } from './settings.js'
import { productShapes, type Shape } from './shapes.js'

export interface MatrixRates { harness: number | null; torch: number | null; best: number }

export async function matrixRates(shape: Shape, settings: Settings): Promise<MatrixRates> {
  const shapes = productShapes(shape).join(',')
  const harness = findHarness()
  const rates: { harness: number | null; torch: number | null } = { harness: null, torch: null }
  if (harness !== null) rates.harness = await rateOf({ program: harness, args: ['matmul', '--shapes', shapes, '--dtype', settings.dtype] })
  if (settings.python !== null) rates.torch = await rateOf(referenceCommand(settings.python, ['matmul', '--shapes', shapes, '--dtype', settings.dtype]))
  const best = Math.max(rates.harness ?? 0, rates.torch ?? 0)
  if (best === 0) throw new Error('no matrix-product rate: build ft_bench (npm run build), or give a Python with torch')
  return { ...rates, best }
}

export async function rateOf(command: { program: string; args: string[] }): Promise<number> {
  const event = (await jsonLines(command)).find((line) => typeof line.tflops === 'number')
  if (event === undefined) throw new Error(`${command.program}: no tflops in its output`)
  return Number(event.tflops)
}

export function findHarness(): string | null {
  const candidates = ['build/Release/ft_bench', 'build/ft_bench', 'build/bench/ft_bench'].map((file) => path.join(repository, file))
  return candidates.find((file) => fs.existsSync(file)) ?? null
}
