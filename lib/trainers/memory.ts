// Bytes a training step needs, from sizes alone: what decides `gradient_checkpointing: auto` and what refuses a run
// that cannot fit before its weights are read.
import type { EngineModelInfo } from './engine.js'

export interface StepShape {
  /** Tokens of the longest micro-batch. */
  tokens: number
  /** Bytes of one value in the compute dtype. */
  valueBytes: number
}

type Sizes = Pick<
  EngineModelInfo,
  'hiddenSize' | 'intermediateSize' | 'numHiddenLayers' | 'numAttentionHeads' | 'numKeyValueHeads' | 'headDim' | 'vocabSize'
>

/** Rows of logits that exist at a time in the fused cross-entropy. */
const logitRows = 1024

/** Saved for backward when only norms and the SwiGLU product are computed again. */
function layerBytes(model: Sizes, { tokens, valueBytes }: StepShape): number {
  const width = 2 * model.hiddenSize + (2 * model.numAttentionHeads + 2 * model.numKeyValueHeads) * model.headDim + 2 * model.intermediateSize
  return tokens * (valueBytes * width + 4 * model.numAttentionHeads + 8)
}

function logitBytes(model: Sizes, { tokens, valueBytes }: StepShape): number {
  return Math.min(tokens, logitRows) * model.vocabSize * (valueBytes + 4) + 2 * tokens * valueBytes * model.hiddenSize
}

/** Activations of one micro-batch. */
export function activationBytes(model: Sizes, shape: StepShape, checkpointing: boolean): number {
  const layer = layerBytes(model, shape)
  // With checkpointing each layer keeps its input and one layer at a time has its workspace.
  const layers = checkpointing ? model.numHiddenLayers * shape.tokens * shape.valueBytes * model.hiddenSize + layer : model.numHiddenLayers * layer
  return layers + logitBytes(model, shape)
}

/** Masters, gradients, moments and the compute copy, beside the weights themselves. */
export function trainableBytes(parameters: number, method: 'adapter' | 'weights'): number {
  return parameters * (method === 'adapter' ? 18 : 14)
}

export interface CheckpointingChoice {
  on: boolean
  /** Activations without checkpointing. */
  bytes: number
  availableBytes: number
}

/** Half of what is free is left to the allocator, the batches and everybody else. */
export function chooseCheckpointing(model: Sizes, shape: StepShape, availableBytes: number): CheckpointingChoice {
  const bytes = activationBytes(model, shape, false)
  return { on: bytes > availableBytes / 2, bytes, availableBytes }
}
