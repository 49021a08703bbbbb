// The cheapest change of a configuration that makes a run fit: what costs least comes first. A smaller micro-batch with more
// accumulation gives the same gradients at nearly the same speed; computing layers again costs time; then come changes of the numbers.
import type { MemoryEstimator, MemoryShape } from './engine.js'

/** What a run asks for, and what there is. */
export interface MemoryNeed {
  estimate: MemoryEstimator
  shape: Omit<MemoryShape, 'rows' | 'checkpointedLayers' | 'offloadedLayers'>
  /** Tokens of each row of the heaviest micro-batch of so many rows or windows. */
  heaviest: (batchSize: number) => readonly number[]
  batchSize: number
  accumulation: number
  availableBytes: number
}

export interface ChangeOptions extends MemoryNeed {
  /** As the run would have them. */
  checkpointedLayers: number
  offloadedLayers: number
  bf16Native: boolean
  maxSeqLength: number
}

export interface Change {
  /** As they are typed. */
  flags: string
  neededBytes: number
}

interface Attempt {
  flags: readonly string[]
  shape: MemoryShape
}

/** null: not even all of them together. */
export function cheapestChange(options: ChangeOptions): Change | null {
  const all = changesOfNumbers(options)
  for (let count = 0; count <= all.length; count++) {
    const found = withChanges(options, all.slice(0, count), Infinity)
    if (found !== null) return found
  }
  for (let length = 2 ** Math.floor(Math.log2(options.maxSeqLength - 1)); length >= 16; length /= 2) {
    const found = withChanges(options, all, length)
    if (found !== null) return found
  }
  return null
}

/** The first attempt that fits with these changes, or with fewer of them: the last one is what is needed. */
function withChanges(options: ChangeOptions, changes: readonly NumberChange[], longest: number): Change | null {
  const found = firstFit(options, changes, longest)
  if (found === null) return null
  for (const change of longest === Infinity ? changes.slice(0, -1) : changes) {
    const fewer = changes.filter((other) => other !== change)
    if (firstFit(options, fewer, longest) !== null) return withChanges(options, fewer, longest)
  }
  return found
}

function firstFit(options: ChangeOptions, changes: readonly NumberChange[], longest: number): Change | null {
  const base: Attempt = {
    flags: [...changes.map(({ flag }) => flag), ...(longest === Infinity ? [] : [`--max-seq-length ${longest}`])],
    shape: Object.assign({ ...options.shape, rows: [], checkpointedLayers: options.checkpointedLayers, offloadedLayers: options.offloadedLayers }, ...changes.map(({ change }) => change)) as MemoryShape,
  }
  for (const { flags, shape } of batchesAndLayers(options, base, longest)) {
    const { neededBytes } = options.estimate(shape)
    if (neededBytes <= options.availableBytes) return { flags: flags.join(' '), neededBytes }
  }
  return null
}

interface NumberChange {
  flag: string
  change: Partial<MemoryShape>
}

/** Each costs accuracy or changes what is learned; in the order in which they are tried. */
function changesOfNumbers({ shape, bf16Native }: ChangeOptions): NumberChange[] {
  const full = shape.trained === 'weights'
  return [
    ...(shape.dtype === 'fp32' && bf16Native ? [{ flag: '--dtype bf16', change: { dtype: 'bf16' as const } }] : []),
    ...(full && shape.optimizer === 'adamw' ? [{ flag: '--optimizer adamw_8bit', change: { optimizer: 'adamw_8bit' } }] : []),
    ...(full ? [{ flag: '--method lora', change: { trained: 'adapter' as const } }] : []),
  ]
}

/** Smaller micro-batches first, then every layer computed again, then both. */
function* batchesAndLayers({ heaviest, batchSize, accumulation, estimate, checkpointedLayers }: ChangeOptions, base: Attempt, longest: number): Generator<Attempt> {
  const rowsOf = (size: number): number[] => heaviest(size).map((length) => Math.min(length, longest))
  const { layers } = estimate({ ...base.shape, rows: rowsOf(1) })
  const sizes: number[] = []
  for (let size = batchSize; size >= 1; size = Math.floor(size / 2)) sizes.push(size)
  for (const again of checkpointedLayers >= layers ? [checkpointedLayers] : [checkpointedLayers, layers]) {
    for (const size of sizes) {
      const batch = size === batchSize ? [] : [`--batch-size ${size} --gradient-accumulation-steps ${Math.ceil((batchSize * accumulation) / size)}`]
      const checkpointing = again === checkpointedLayers ? [] : ['--gradient-checkpointing']
      yield { flags: [...batch, ...checkpointing, ...base.flags], shape: { ...base.shape, rows: rowsOf(size), checkpointedLayers: again } }
    }
  }
}
