// The most memory that one micro-batch takes beside weights and state: what every layer keeps for its backward, and what is
// alive with all of that at the moments when most is. Follows native/core/nn, objectives and kernels; a test holds the two together.
import { sum, type LayerWidths, type MemoryModel } from './layers.js'

export interface StepShape {
  /** Tokens of each row of the micro-batch. */
  rows: readonly number[]
  /** Bytes of a value in the compute dtype. */
  valueBytes: number
  /** Layers, from the first, that keep their input alone and are computed again in backward. */
  checkpointedLayers: number
  /** The kernels in use. tiles: bf16 on a CPU with bf16 products; flash: fp32 and others; eager: all scores exist. */
  kernels: 'tiles' | 'flash' | 'eager'
  threads: number
  /** Every weight learns. */
  full: boolean
}

export interface StepBytes {
  /** Kept by layers until their backward. */
  saved: number
  /** What is alive beside that when most is: of the loss, or of a layer's backward. */
  logits: number
  workspace: number
  /** The larger of the two moments. */
  peak: number
  /** The largest block: a chunk of logits. */
  largest: number
}

const MiB = 2 ** 20
/** At most: native/core/kernels/cpu/linear.cpp, packed weights of a product; outer_product.cpp, a transposed gradient. */
const packedBytes = 8 * MiB
const transposedBytes = 16 * MiB
const tile = 64
/** Deeper products wait in fp32 for the rest of their depth. */
const waitingDepth = 8192

export function stepBytes(model: MemoryModel, layers: readonly LayerWidths[], shape: StepShape): StepBytes {
  const tokens = sum(shape.rows)
  const kept = layers.map((layer) => savedBytes(model, layer, shape))
  const inputs = layers.map((layer) => tokens * layer.stream * shape.valueBytes)
  const again = Math.min(shape.checkpointedLayers, layers.length)
  const saved = sum(inputs.slice(0, again)) + sum(kept.slice(again)) + tableBytes(model, tokens)
  const last = layers.at(-1)
  const logits = lossBytes(model, shape)
  const largest = chunkOf(model, shape) * model.vocabSize * shape.valueBytes
  if (last === undefined) return { saved, logits, workspace: 0, peak: saved + logits, largest }
  // The last layer's activations are made again when even it keeps its input alone.
  const workspace = (again === layers.length ? (kept.at(-1) ?? 0) - (inputs.at(-1) ?? 0) : 0) + backwardBytes(model, last, shape)
  return { saved, logits, workspace, peak: saved + Math.max(logits, workspace), largest }
}

/** The streams that a layer keeps, both products, attention's output with its log-sum-exp, and statistics of two norms. */
function savedBytes(model: MemoryModel, layer: LayerWidths, { rows, valueBytes, kernels }: StepShape): number {
  const values = layer.streams * layer.stream + layer.qkv + layer.attention + layer.wider + layer.inner + layer.ranks
  // Of experts: logits, and of each that was chosen its number, weight and row.
  const statistics = 4 * (2 + (kernels === 'eager' ? 0 : model.numAttentionHeads)) + 4 * layer.experts + (8 + 4 + 8) * layer.routed
  return sum(rows) * (values * valueBytes + statistics)
}

/** Rotary tables, ids, positions and keys of tokens. */
function tableBytes(model: MemoryModel, tokens: number): number {
  return tokens * (2 * 4 * Math.floor(model.headDim / 2) + 5 * 8)
}

/** native/core/objectives/linear_cross_entropy.cpp: all activations are alive, and a chunk of logits. */
function lossBytes(model: MemoryModel, { rows, valueBytes, kernels, full }: StepShape): number {
  const supervised = supervisedOf(rows)
  const chunk = chunkOf(model, { rows, valueBytes })
  const hidden = model.hiddenSize * valueBytes
  // Hidden states of all tokens; of supervised ones those before and after the norm, and their gradient.
  const vectors = sum(rows) * hidden + 3 * supervised * hidden
  const logits = chunk * model.vocabSize * valueBytes
  const gradient = chunk * hidden + (kernels === 'tiles' ? packed(model.vocabSize, model.hiddenSize) + (model.vocabSize > waitingDepth ? roundUp(chunk) * roundUp(model.hiddenSize) * 4 : 0) : 0)
  const weights = full && kernels === 'tiles' ? chunk * hidden + transposedBytes + threadOuterBytes(chunk) : 0
  // fp16 goes through fp32 copies.
  const copies = valueBytes === 2 && kernels !== 'tiles' ? 2 * chunk * model.vocabSize * 4 : 0
  return vectors + logits + Math.max(gradient, weights, copies)
}

/** Every token but the first of a row. */
function supervisedOf(rows: readonly number[]): number {
  return Math.max(1, sum(rows) - rows.length)
}

function chunkOf(model: MemoryModel, { rows, valueBytes }: Pick<StepShape, 'rows' | 'valueBytes'>): number {
  return Math.min(supervisedOf(rows), chunkRows(model, valueBytes))
}

function chunkRows({ vocabSize, hiddenSize }: MemoryModel, valueBytes: number): number {
  const bytes = clamp(2 * vocabSize * hiddenSize * valueBytes, 64 * MiB, 320 * MiB)
  return clamp(Math.floor(bytes / (vocabSize * valueBytes)), 64, 4096)
}

/** A layer's backward begins with its down projection, and comes to attention when the MLP's part is free again. */
function backwardBytes(model: MemoryModel, layer: LayerWidths, shape: StepShape): number {
  const { rows, valueBytes, kernels, full } = shape
  const tokens = sum(rows)
  const token = tokens * valueBytes
  const scratch = kernels === 'tiles' ? Math.max(packed(layer.stream, layer.middle), full ? transposedBytes + threadOuterBytes(tokens) * shape.threads : 0) : 0
  const down = (layer.routed > 0 ? token * expertsWidth(layer, full) : token * (layer.stream + 2 * layer.middle + layer.inner + layer.ranks)) + scratch
  const freed = token * (layer.inner + (layer.streams - 1) * layer.stream)
  const attention = token * (2 * layer.stream + layer.attention) + attentionBytes(model, layer, shape) - freed
  return Math.max(down, attention)
}

/** native/core/nn/moe.cpp: what comes back as rows of the experts, both activations with their gradients, and what goes on. */
function expertsWidth(layer: LayerWidths, full: boolean): number {
  const gathered = full || layer.expertRanks > 0 ? 1 : 0
  return 2 * layer.stream + layer.routed * ((2 + gathered) * layer.stream + 4 * layer.expertMiddle) + layer.expertRanks
}

/** Queries and keys as they were turned, gradients of the three, and what the kernel works in. */
function attentionBytes(model: MemoryModel, layer: LayerWidths, { rows, valueBytes, kernels, threads }: StepShape): number {
  const tokens = sum(rows)
  const { numAttentionHeads: heads, numKeyValueHeads: kvHeads } = model
  const gradients = tokens * valueBytes * (layer.turned + layer.gradients)
  const longest = Math.max(...rows)
  if (kernels === 'eager') return gradients + 5 * 4 * heads * rows.length * longest * longest
  if (kernels === 'flash') return gradients + tokens * valueBytes * (layer.turned + layer.qkv)
  const tiles = sum(rows.map((length) => Math.ceil(length / tile)))
  const tileBytes = tile * Math.ceil(layer.headSize / 32) * 32
  const splits = rows.length * kvHeads < 2 * threads ? heads / kvHeads : 1
  const sums = 2 * 4 * splits * kvHeads * tiles * tileBytes
  const scratch = threads * (3 * 2 * Math.ceil(longest / tile) * tileBytes + 16 * 2 * tileBytes)
  return gradients + sums + scratch
}

/** Of a product of so much depth with so many columns. */
function packed(depth: number, columns: number): number {
  return Math.min(packedBytes, roundUp(columns) * Math.min(depth, waitingDepth) * 2)
}

/** A thread's packed tile of all tokens. */
function threadOuterBytes(tokens: number): number {
  return roundUp(tokens) * tile * 2
}

function roundUp(value: number): number {
  return Math.ceil(value / tile) * tile
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}
