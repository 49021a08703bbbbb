// Whether a run fits in memory, decided before its weights are read: how many layers are computed again, how many rows a
// micro-batch has, and, where nothing that was asked for fits, the cheapest change that does.
import { FineTuneError, makeError } from '../core/errors/index.js'
import { formatBytes } from '../utils/terminal.js'
import type { Batch, TrainingMemory } from './engine.js'
import { cheapestChange, type ChangeOptions, type MemoryNeed } from './memory-changes.js'
import type { PreparedRun } from './prepare.js'

/** Of what is free: the rest is left to the data feed, to saving and to everybody else. */
const usableShare = 0.9

/** How many layers `auto` has computed again. `of`: the estimate with so many. */
export function automaticLayers(of: (checkpointedLayers: number) => Pick<TrainingMemory, 'neededBytes' | 'layers'>, availableBytes: number): number {
  const limit = usableShare * availableBytes
  const { layers: all, neededBytes } = of(0)
  let [best, least] = [0, neededBytes]
  // The first layers are computed again: theirs is the memory that is kept longest.
  for (let layers = 0; layers <= all; layers++) {
    const needed = of(layers).neededBytes
    if (needed <= limit) return layers
    if (needed < least) [best, least] = [layers, needed]
  }
  return best
}

export interface MemoryPlanOptions extends MemoryNeed {
  /** true: every layer; a number: so many of the first; auto: as few as are needed. */
  gradientCheckpointing: boolean | number | 'auto'
  autoBatch: boolean
  /** auto: as few of the last layers as are needed; 0 where there is no other memory to keep them in. */
  offloadLayers: number | 'auto'
  /** Memory of the CPU for them. */
  hostBytes: number
  /** Nothing is refused. */
  force: boolean
  change: Pick<ChangeOptions, 'bf16Native' | 'maxSeqLength'>
}

export interface MemoryPlan {
  checkpointedLayers: number
  /** Smaller than the configured one where auto_batch made it so. */
  batchSize: number
  estimate: TrainingMemory
  /** What layers would keep if none were computed again. */
  activationBytes: number
  availableBytes: number
  /** Of other micro-batches, with the same layers computed again. */
  estimateRows: (rows: readonly number[]) => TrainingMemory
}

/** Errors: FT_OUT_OF_MEMORY when what was asked for cannot fit: need, what is available, and the cheapest change that fits. */
export function planMemory(options: MemoryPlanOptions): MemoryPlan {
  const { availableBytes, force, autoBatch, offloadLayers } = options
  let batchSize = options.batchSize
  let plan = planBatch(options, batchSize)
  while (plan.estimate.neededBytes > availableBytes && autoBatch && batchSize > 1) {
    batchSize = Math.floor(batchSize / 2)
    plan = planBatch(options, batchSize)
  }
  // A visit of weights costs more than all before it.
  for (let layers = 1; offloadLayers === 'auto' && plan.estimate.neededBytes > availableBytes && layers <= plan.estimate.layers; layers++) {
    const next = planBatch(options, batchSize, layers)
    if (next.estimate.offloadedBytes > options.hostBytes) break
    plan = next
  }
  if (plan.estimate.neededBytes > availableBytes && !force) throw tooLarge(plan, options)
  return plan
}

function planBatch({ estimate, shape, heaviest, availableBytes, gradientCheckpointing: asked, offloadLayers }: MemoryPlanOptions, batchSize: number, layersToOffload = 0): MemoryPlan {
  const rows = heaviest(batchSize)
  const offloadedLayers = offloadLayers === 'auto' ? layersToOffload : offloadLayers
  const of = (checkpointedLayers: number): TrainingMemory => estimate({ ...shape, rows, checkpointedLayers, offloadedLayers })
  const none = of(0)
  const layers = asked === 'auto' ? automaticLayers(of, availableBytes) : typeof asked === 'number' ? asked : asked ? none.layers : 0
  const checkpointedLayers = Math.min(layers, none.layers)
  const estimateRows = (other: readonly number[]): TrainingMemory => estimate({ ...shape, rows: other, checkpointedLayers, offloadedLayers })
  return { checkpointedLayers, batchSize, estimate: of(checkpointedLayers), activationBytes: none.activationBytes, availableBytes, estimateRows }
}

function tooLarge(plan: MemoryPlan, options: MemoryPlanOptions): FineTuneError {
  const { estimate, availableBytes } = plan
  const change = cheapestChange({ ...options, ...options.change, checkpointedLayers: plan.checkpointedLayers, offloadedLayers: plan.estimate.offloadedLayers })
  const fits = change === null ? 'no change of settings makes it fit: use a smaller model or more memory' : `${change.flags} fits (about ${formatBytes(change.neededBytes)})`
  return makeError('FT_OUT_OF_MEMORY', `this run needs about ${formatBytes(estimate.neededBytes)} of memory, ${formatBytes(availableBytes)} are available: ${partsText(estimate)}`, {
    remedy: `${fits}; --force tries all the same`,
    details: { needBytes: estimate.neededBytes, availableBytes, parts: partsOf(estimate), ...(change === null ? {} : { change: change.flags, changedNeedBytes: change.neededBytes }) },
  })
}

/** By what it is for; the larger of the two moments that do not meet. */
export function partsOf(memory: TrainingMemory): Record<string, number> {
  const { weightBytes, masterBytes, gradientBytes, optimizerBytes, activationBytes, lossBytes, workspaceBytes } = memory
  const moment: Record<string, number> = lossBytes > workspaceBytes ? { loss: lossBytes } : { workspace: workspaceBytes }
  return { weights: weightBytes, masters: masterBytes, gradients: gradientBytes, optimizer: optimizerBytes, activations: activationBytes, ...moment }
}

function partsText(memory: TrainingMemory): string {
  return Object.entries(partsOf(memory)).filter(([, bytes]) => bytes > 0).map(([name, bytes]) => `${name} ${formatBytes(bytes)}`).join(', ')
}

/** The engine's error with what it needed and what to do about it here. */
export function explainOutOfMemory(error: unknown, run: PreparedRun, batches: readonly Batch[]): unknown {
  if (!isOutOfMemory(error)) return error
  const tokens = Math.max(...batches.map((batch) => batch.inputIds.length))
  const available = run.backend.memoryAvailable(run.source.device)
  const need = run.memory.estimate.neededBytes
  return makeError('FT_OUT_OF_MEMORY', `step ${run.progress.globalStep + 1} (micro-batches of up to ${tokens} tokens): ${error.message}; the run needs about ${formatBytes(need)} in all, ${formatBytes(available)} are available now`, {
    remedy: 'use --auto-batch, or lower --batch-size and raise --gradient-accumulation-steps to match; use --gradient-checkpointing; lower --max-seq-length',
    details: { ...error.details, tokens, needBytes: need, availableBytes: available, checkpointedLayers: run.memory.checkpointedLayers },
    cause: error,
  })
}

export function isOutOfMemory(error: unknown): error is FineTuneError {
  return error instanceof FineTuneError && error.code === 'FT_OUT_OF_MEMORY'
}
