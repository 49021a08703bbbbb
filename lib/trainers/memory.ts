// Bytes a training step needs, from sizes alone: what decides `gradient_checkpointing: auto` and what refuses a run
// that cannot fit before its weights are read.
import { FineTuneError, makeError } from '../core/errors/index.js'
import { formatBytes } from '../utils/terminal.js'
import type { Batch, EngineModelInfo } from './engine.js'
import type { PreparedRun } from './prepare.js'

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

/** The engine's error with what to do about it here. */
export function explainOutOfMemory(error: unknown, run: PreparedRun, batches: readonly Batch[]): unknown {
  if (!(error instanceof FineTuneError) || error.code !== 'FT_OUT_OF_MEMORY') return error
  const tokens = Math.max(...batches.map((batch) => batch.inputIds.length))
  const available = run.backend.memoryAvailable(run.source.device)
  return makeError('FT_OUT_OF_MEMORY', `step ${run.progress.globalStep + 1} (micro-batches of up to ${tokens} tokens): ${error.message}; ${formatBytes(available)} are available`, {
    remedy: 'lower --batch-size and raise --gradient-accumulation-steps to match, use --gradient-checkpointing, or lower --max-seq-length',
    details: { ...error.details, tokens, availableBytes: available, gradientCheckpointing: run.gradientCheckpointing },
    cause: error,
  })
}
