// What experts take beside their weights and the rows that go through them.
import type { NativeLoraTarget } from '../../native/binding.js'
import { sum, type MemoryModel } from './layers.js'

/** A region's least size: native/core/base/arena.cpp. */
const regionBytes = 32 * 2 ** 20

/**
 * What the blocks that hold a layer's experts leave of the arena's regions, as far as other weights of layers do not fill it: room that a step touches
 * with what it frees at once, and that a chunk of logits finds too small.
 */
export function expertGapBytes(model: MemoryModel, valueBytes: number): number {
  const gaps: number[] = []
  let others = 0
  for (const { kind, inFeatures, outFeatures, experts = 1, role } of model.linearModules) {
    const bytes = experts * inFeatures * outFeatures * valueBytes
    if (kind !== 'experts') {
      others += role === 'outside' ? 0 : bytes
    } else if (bytes < regionBytes) {
      const first = gaps.findIndex((gap) => gap >= bytes)
      if (first < 0) gaps.push(regionBytes - bytes)
      else gaps[first] = (gaps[first] ?? 0) - bytes
    }
  }
  return Math.max(0, sum(gaps) - others)
}

/** Columns of the B matrices of experts take turns in a file: they are written from copies. */
export function expertCopyBytes(model: MemoryModel, targets: readonly NativeLoraTarget[]): number {
  const modules = new Map(model.linearModules.filter(({ kind }) => kind === 'experts').map((module) => [module.name, module]))
  return sum(targets.map(({ module: name, r }) => {
    const module = modules.get(name)
    return module === undefined ? 0 : 4 * r * (module.experts ?? 1) * module.outFeatures
  }))
}
