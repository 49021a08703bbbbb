// The golden cases of test/fixtures/golden (made by scripts/make-golden.py) and how numbers are compared:
// difference(a, b) = max |a - b| / max |b| over a tensor, one figure a tensor.
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { readSafetensors, type Tensor } from './safetensors.js'

export interface Row { input_ids: number[]; labels: number[] }

export interface LogitsRecord { tensor: string; adapter: boolean; input_ids: number[]; positions: number[] }

/** The largest relative differences of losses and gradient norms of all steps, and of the first step's gradients. */
export interface Rounding { loss: number; grad_norm: number; gradient: number }

export interface RunRecord {
  learning_rate: number
  weight_decay: number
  max_grad_norm: number
  losses: number[]
  grad_norms: number[]
  /** How far the reference's own run in half precision is from this one, in fp32. */
  half: Record<'bf16' | 'fp16', Rounding>
  trained_logits: LogitsRecord
}

export interface Golden {
  case: string
  micro_batch: number
  accumulation: number
  steps: number
  rows: Row[]
  /** How far the reference's logits in half precision are from these. */
  half_logits: Record<'bf16' | 'fp16', number>
  logits: LogitsRecord[]
  lora: RunRecord
  full: RunRecord & { first_gradient_norms: Record<string, number> }
  /** tokens_with_cache differs where rope is dynamic: cached keys keep the rotation they got. */
  generation: { prompt: number[]; tokens: number[]; tokens_with_cache: number[]; repetition_penalty: number }[]
}

export interface GoldenCase {
  name: string
  model: string
  adapter: string
  golden: Golden
  tensors: Map<string, Tensor>
}

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../fixtures/golden')

/** Every case, in name order. Throws when the fixtures are not there. */
export function goldenCases(): GoldenCase[] {
  const names = fs.readdirSync(root).filter((name) => fs.existsSync(path.join(root, name, 'golden.json'))).sort()
  if (names.length === 0) throw new Error(`no golden cases under ${root}: run scripts/make-golden.py`)
  return names.map((name) => {
    const folder = path.join(root, name)
    return {
      name,
      model: path.join(folder, 'model'),
      adapter: path.join(folder, 'adapter'),
      golden: JSON.parse(fs.readFileSync(path.join(folder, 'golden.json'), 'utf8')) as Golden,
      tensors: readSafetensors(path.join(folder, 'golden.safetensors')),
    }
  })
}

export function tensorOf(golden: GoldenCase, name: string): Tensor {
  const tensor = golden.tensors.get(name)
  if (tensor === undefined) throw new Error(`${golden.name}: no golden tensor ${name}`)
  return tensor
}

/** Rows of each micro-batch of optimizer step `step`: in order, from the first again after the last. */
export function microBatches(golden: Golden, step: number): Row[][] {
  const first = step * golden.micro_batch * golden.accumulation
  return Array.from({ length: golden.accumulation }, (_, m) =>
    Array.from({ length: golden.micro_batch }, (_, i) => at(golden.rows, (first + m * golden.micro_batch + i) % golden.rows.length)))
}

/** max |a - b| / max |b|; infinite where anything is not finite. Throws on different sizes. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) throw new Error(`sizes differ: ${actual.length} and ${expected.length}`)
  let largest = 0
  let scale = 0
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i] as number
    const b = expected[i] as number
    if (!Number.isFinite(a) || !Number.isFinite(b)) return Infinity
    largest = Math.max(largest, Math.abs(a - b))
    scale = Math.max(scale, Math.abs(b))
  }
  return largest === 0 ? 0 : largest / scale
}

/** The largest |a - b| / |b| of two series, entry by entry. */
export function seriesDifference(actual: number[], expected: number[]): number {
  if (actual.length !== expected.length) throw new Error(`lengths differ: ${actual.length} and ${expected.length}`)
  return Math.max(...actual.map((a, i) => difference([a], [at(expected, i)])))
}

/** Rows of a [rows, width] matrix, one after another. */
export function pickRows(matrix: Float32Array, width: number, rows: number[]): Float32Array {
  const picked = new Float32Array(rows.length * width)
  rows.forEach((row, i) => { picked.set(matrix.subarray(row * width, (row + 1) * width), i * width) })
  return picked
}

export function at<T>(items: readonly T[], index: number): T {
  const item = items[index]
  if (item === undefined) throw new Error(`no item ${index} of ${items.length}`)
  return item
}
