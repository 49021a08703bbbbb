// Bytes that training keeps between steps beside the weights: masters, gradients, moments.
import { sum } from './layers.js'

export interface TrainedShape {
  kind: 'adapter' | 'weights'
  /** Values of each trained tensor. */
  tensors: readonly number[]
}

export interface StateBytes {
  masterBytes: number
  gradientBytes: number
  optimizerBytes: number
}

/** Both moments of a tensor of n values. */
const momentBytes: Readonly<Record<string, (n: number) => number>> = {
  adamw: (n) => 8 * n,
  adamw_8bit: codedBytes,
  paged_adamw_8bit: codedBytes,
}

/** native/core/optim/adamw_8bit.cpp: codes and a maximum a block of 256; small tensors in fp32. */
function codedBytes(n: number): number {
  return n < 4096 ? 8 * n : 2 * n + 8 * Math.ceil(n / 256)
}

export function stateBytes({ kind, tensors }: TrainedShape, { valueBytes, optimizer }: { valueBytes: number; optimizer: string }): StateBytes {
  const parameters = sum(tensors)
  // An adapter's own weights are masters; in a narrower dtype a copy is computed with. A model's weights count as weights.
  const copies = valueBytes === 4 ? 0 : kind === 'adapter' ? valueBytes : 4
  const moments = momentBytes[optimizer] ?? momentBytes.adamw ?? codedBytes
  return {
    masterBytes: parameters * ((kind === 'adapter' ? 4 : 0) + copies),
    // Gradients of an adapter are fp32, those of weights in the compute dtype.
    gradientBytes: parameters * (kind === 'adapter' ? 4 : valueBytes),
    optimizerBytes: sum(tensors.map(moments)),
  }
}
