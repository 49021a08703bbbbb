// How wide the tensors of a layer are, in values a token, from the list of its linear modules: what an estimate of memory needs
// to know of an architecture.
import type { NativeLinearModule, NativeLoraTarget } from '../../native/binding.js'

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
}

/** Values a token. */
export interface LayerWidths {
  /** The residual stream. */
  stream: number
  /** How often its width is kept: before attention, before an MLP that follows on it, and of blocks whose result is normed. */
  streams: number
  /** Product of queries, keys and values. */
  qkv: number
  /** What attention gives to its output projection. */
  attention: number
  /** Product of gate and up, and what the activation makes of it: the input of the down projection. */
  inner: number
  middle: number
  /** Products with the A matrices of the layer's adapters. */
  ranks: number
}

/** Layers in order. A module belongs to the layer whose number its name has; one without a number is no part of a layer. */
export function layerWidths(model: MemoryModel, targets: readonly NativeLoraTarget[]): LayerWidths[] {
  const ranks = new Map(targets.map(({ module, r }) => [module, r]))
  const layers = new Map<number, NativeLinearModule[]>()
  for (const module of model.linearModules) {
    const layer = layerOf(module.name)
    if (layer !== null) layers.set(layer, [...(layers.get(layer) ?? []), module])
  }
  return [...layers.entries()].sort(([a], [b]) => a - b).map(([, modules]) => widthsOf(model, modules, ranks))
}

function layerOf(name: string): number | null {
  const number = /\.(\d+)\./.exec(name)?.[1]
  return number === undefined ? null : Number(number)
}

/** In module order a layer has the projections of queries, keys and values, then attention's output, then those of the MLP, down last. */
function widthsOf(model: MemoryModel, modules: readonly NativeLinearModule[], ranks: ReadonlyMap<string, number>): LayerWidths {
  const heads = (model.numAttentionHeads + 2 * model.numKeyValueHeads) * model.headDim
  let [qkv, count] = [0, 0]
  while (qkv < heads && count < modules.length) qkv += modules[count++]?.outFeatures ?? 0
  const mlp = modules.slice(count + 1)
  const down = mlp.at(-1)
  return {
    stream: model.hiddenSize,
    streams: (model.parallelResidual ? 1 : 2) + model.postNorms,
    qkv,
    attention: modules[count]?.inFeatures ?? 0,
    // Of experts, a token has rows with each that it passes.
    inner: sum(mlp.slice(0, -1).map((module) => module.outFeatures * (module.expertsPerToken ?? 1))),
    middle: (down?.inFeatures ?? 0) * (down?.expertsPerToken ?? 1),
    ranks: sum(modules.map((module) => ranks.get(module.name) ?? 0)),
  }
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
