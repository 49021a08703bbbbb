// How far a merged model is from base and adapter: the distributions over the next token at some positions, once from
// each. Rounding the merged weights to bf16 moves them a little; a wrong merge moves them far.
import { makeError } from '../core/errors/index.js'
import { diagnostics, inspectModel, loadModel, resolveDtype, type LoadModelOptions, type QuantizationOptions } from '../models/index.js'
import type { NativeDtype } from '../native/binding.js'

export interface MergeDrift {
  positions: number
  /** Share of positions where both choose the same token. */
  top1_agreement: number
  /** Mean over positions of KL(base and adapter ‖ merged), in nats. */
  mean_kl: number
  max_kl: number
}

export interface Comparison {
  model: string
  /** Family to read both config.json as. */
  arch?: string
  adapter: string
  /** Folder of the merged model. */
  merged: string
  device: string
  signal: AbortSignal
  /** Of the base. */
  quantization: QuantizationOptions
}

const positions = 32
/** Above it the result is another model, whatever the rounding. */
const worstMeanKl = 0.1

/** null: there is not enough memory to load the model. Errors: FT_EVALUATION when the two are far apart. */
export async function compareWithAdapter({ model, arch, adapter, merged, device, signal, quantization }: Comparison): Promise<MergeDrift | null> {
  const { vocabSize, numParameters } = await inspectModel(merged, {}, { arch })
  const dtype = fittingDtype(numParameters, device)
  if (dtype === null) return null
  const tokens = probe(vocabSize)
  const wanted = await logitsOf({ name: model, arch, adapter, dtype, device, signal, ...quantization }, tokens)
  const got = await logitsOf({ name: merged, arch, dtype, device, signal }, tokens)
  const drift = compare(wanted, got, vocabSize)
  if (!(drift.mean_kl <= worstMeanKl)) {
    throw makeError('FT_EVALUATION', `the merged model does not compute what base and adapter do: mean KL ${drift.mean_kl.toFixed(3)}, top-1 agreement ${(100 * drift.top1_agreement).toFixed(1)} %`, {
      remedy: 'keep more digits with --dtype fp32; --no-verify writes the result all the same', details: { ...drift },
    })
  }
  return drift
}

/** fp32 where it fits, else what the device computes best in. */
function fittingDtype(parameters: number, device: string): NativeDtype | null {
  const { availableBytes } = diagnostics().memory
  const room = device === 'cpu' ? availableBytes / 1.25 : Number.POSITIVE_INFINITY
  if (4 * parameters <= room && device === 'cpu') return 'fp32'
  const dtype = resolveDtype('auto', device)
  return (dtype === 'fp32' ? 4 : 2) * parameters <= room ? dtype : null
}

/** Token ids spread over the vocabulary: the same for every run. */
function probe(vocabSize: number): number[] {
  return Array.from({ length: positions }, (_, index) => (index * 7919 + 13) % vocabSize)
}

async function logitsOf(options: LoadModelOptions, tokens: number[]): Promise<Float32Array> {
  const model = await loadModel(options)
  try {
    return (await model.forward([tokens], { signal: options.signal })).logits
  } finally {
    await model.dispose()
  }
}

/** wanted, got: [positions, vocab] */
export function compare(wanted: Float32Array, got: Float32Array, vocabSize: number): MergeDrift {
  const rows = wanted.length / vocabSize
  let agreed = 0
  let sum = 0
  let worst = 0
  for (let row = 0; row < rows; row++) {
    const p = wanted.subarray(row * vocabSize, (row + 1) * vocabSize)
    const q = got.subarray(row * vocabSize, (row + 1) * vocabSize)
    if (argmax(p) === argmax(q)) agreed += 1
    const kl = divergence(p, q)
    sum += kl
    worst = Math.max(worst, kl)
  }
  return { positions: rows, top1_agreement: agreed / rows, mean_kl: sum / rows, max_kl: worst }
}

function argmax(values: Float32Array): number {
  let best = 0
  for (let index = 1; index < values.length; index++) if ((values[index] ?? 0) > (values[best] ?? 0)) best = index
  return best
}

/** KL(softmax(p) ‖ softmax(q)), at least 0 but for rounding. */
function divergence(p: Float32Array, q: Float32Array): number {
  const [logP, logQ] = [logSumExp(p), logSumExp(q)]
  let kl = 0
  for (let index = 0; index < p.length; index++) {
    const a = (p[index] ?? 0) - logP
    kl += Math.exp(a) * (a - ((q[index] ?? 0) - logQ))
  }
  return Math.max(0, kl)
}

function logSumExp(values: Float32Array): number {
  const top = values[argmax(values)] ?? 0
  let sum = 0
  for (const value of values) sum += Math.exp(value - top)
  return top + Math.log(sum)
}
