// How wide the tensors of a layer are, in values a token, from the list of its linear modules: what an estimate of memory needs
// to know of an architecture.
import type { NativeEmbeddingModule, NativeLinearModule, NativeLoraTarget, NativeModuleRole } from '../../native/binding.js'

/** What an estimate reads of a model; NativeModelInfo and ModelInspection have it. */
export interface MemoryModel {
  vocabSize: number
  hiddenSize: number
  numHiddenLayers: number
  numAttentionHeads: number
  numKeyValueHeads: number
  headDim: number
  parallelResidual: boolean
  postNorms: number
  slidingWindow: number
  numParameters: number
  linearModules: readonly NativeLinearModule[]
  embeddingModules?: readonly NativeEmbeddingModule[]
}

/** Values a token. */
export interface LayerWidths {
  /** The residual stream. */
  stream: number
  /** How often its width is kept: before attention, before an MLP that follows on it, of blocks whose result is normed, of inputs that several products read. */
  streams: number
  /** Products that attention reads: queries, keys and values, or what they are made of. */
  qkv: number
  /** What attention gives to its output projection; and what its kernel gave, where that is wider. */
  attention: number
  wider: number
  /** Queries and keys as they were turned (and values, where they are put together anew), and the gradients of the three and of their products. */
  turned: number
  gradients: number
  /** Of one head in the kernel. */
  headSize: number
  /** Products in front of activations, of every expert that a token passes; and the input of one down projection. */
  inner: number
  middle: number
  /** Experts that a token passes, how wide their activations are, and whether their weights learn; 0: there are none. */
  routed: number
  expertMiddle: number
  expertRanks: number
  /** Experts that a router chooses from. */
  experts: number
  /** Products with the A matrices of the layer's adapters. */
  ranks: number
}

export function layerWidths(model: MemoryModel, targets: readonly NativeLoraTarget[]): LayerWidths[] {
  const ranks = new Map(targets.map(({ module, r }) => [module, r]))
  return layersOf(model).map((modules) => widthsOf(model, modules, ranks))
}

/** Values in the matrices of each layer, and in the largest that is computed with at a time; routers stay where they are computed with. */
export function layerMatrices(model: MemoryModel): { values: number; largest: number }[] {
  return layersOf(model).map((modules) => {
    const matrices = modules.filter(({ role }) => role !== 'router')
    const sizes = matrices.map(({ inFeatures, outFeatures }) => inFeatures * outFeatures)
    return { values: sum(matrices.map(({ experts = 1 }, i) => experts * (sizes[i] ?? 0))), largest: Math.max(0, ...sizes) }
  })
}

/** Layers in order. A module belongs to the layer whose number its name has; one without a number is no part of a layer. */
function layersOf(model: MemoryModel): NativeLinearModule[][] {
  const layers = new Map<number, NativeLinearModule[]>()
  for (const module of model.linearModules) {
    const layer = layerOf(module.name)
    if (layer !== null) layers.set(layer, [...(layers.get(layer) ?? []), module])
  }
  return [...layers.entries()].sort(([a], [b]) => a - b).map(([, modules]) => modules)
}

function layerOf(name: string): number | null {
  const number = /\.(\d+)\./.exec(name)?.[1]
  return number === undefined ? null : Number(number)
}

function widthsOf(model: MemoryModel, modules: readonly NativeLinearModule[], ranks: ReadonlyMap<string, number>): LayerWidths {
  const of = (...roles: NativeModuleRole[]): NativeLinearModule[] => modules.filter(({ role }) => roles.includes(role))
  const rows = (module: NativeLinearModule): number => module.expertsPerToken ?? 1
  const outs = (...roles: NativeModuleRole[]): number => sum(of(...roles).map((module) => rows(module) * module.outFeatures))
  const ranksOf = (some: readonly NativeLinearModule[]): number => sum(some.map((module) => rows(module) * (ranks.get(module.name) ?? 0)))
  const [experts, shared] = [of('experts_down')[0], of('shared_gate').length]
  return {
    stream: model.hiddenSize,
    // Router, experts and shared expert read one normed input; a gated shared expert's output is kept.
    streams: (model.parallelResidual ? 1 : 2) + model.postNorms + (experts === undefined ? 0 : 1 + shared),
    ...attentionWidths(model, of('attention_out')[0]?.inFeatures ?? 0, outs),
    inner: outs('mlp_in', 'shared_in', 'experts_in'),
    middle: Math.max(...of('mlp_down', 'shared_down', 'experts_down').map(({ inFeatures }) => inFeatures), 0),
    routed: experts?.expertsPerToken ?? 0,
    expertMiddle: experts?.inFeatures ?? 0,
    expertRanks: ranksOf(of('experts_in', 'experts_down')),
    experts: experts?.experts ?? 0,
    ranks: ranksOf(modules),
  }
}

type AttentionWidths = Pick<LayerWidths, 'qkv' | 'attention' | 'wider' | 'turned' | 'gradients' | 'headSize'>

/** Latent attention (native/core/nn/latent_attention.h) puts heads of one size together before its kernel; the others take them from one product. */
function attentionWidths(model: MemoryModel, attention: number, outs: (...roles: NativeModuleRole[]) => number): AttentionWidths {
  const { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = model
  const [qkv, up] = [outs('qkv'), outs('key_value_up')]
  if (up === 0) return { qkv, attention, wider: 0, turned: (heads + kvHeads) * headDim, gradients: 2 * qkv, headSize: headDim }
  const query = outs('query_up') || outs('query_in')
  const size = Math.max(query, attention) / heads
  return {
    qkv: outs('query_in', 'query_up', 'key_value_in', 'key_value_up'), attention, wider: size * heads > attention ? size * heads : 0,
    turned: 3 * heads * size, gradients: 3 * heads * size + query + up + headDim, headSize: size,
  }
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
