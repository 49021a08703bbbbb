// Which layers wait in the memory of the CPU: as few as the GPU has no room for, after everything that costs less.
import { expect } from 'chai'
import type { MemoryShape, TrainingMemory } from '../../../lib/trainers/index.js'
import { planMemory, type MemoryPlan, type MemoryPlanOptions } from '../../../lib/trainers/memory.js'
import { caught } from '../support/caught.js'

/** Ten layers of 100 bytes; 10 bytes a row and layer that is not computed again. */
function estimate({ rows, checkpointedLayers, offloadedLayers }: MemoryShape): TrainingMemory {
  const [weightBytes, activationBytes] = [1000 - 100 * offloadedLayers, rows.length * 10 * (10 - checkpointedLayers)]
  return {
    weightBytes, offloadedBytes: 100 * offloadedLayers, offloadedLayers, masterBytes: 0, gradientBytes: 0, optimizerBytes: 0, activationBytes, lossBytes: 0, workspaceBytes: 0,
    fragmentationBytes: 0, runtimeBytes: 0, totalBytes: weightBytes + activationBytes, neededBytes: weightBytes + activationBytes, tokens: rows.length, layers: 10, checkpointedLayers,
  }
}

function plan(changed: Partial<MemoryPlanOptions>): MemoryPlan {
  return planMemory({
    estimate, shape: { trained: 'adapter', dtype: 'bf16', optimizer: 'adamw' }, heaviest: (size) => Array<number>(size).fill(1), batchSize: 4, accumulation: 1, availableBytes: 2000,
    gradientCheckpointing: 'auto', autoBatch: false, force: false, offloadLayers: 'auto', hostBytes: 1e6, change: { bf16Native: true, maxSeqLength: 64 }, ...changed,
  })
}

const decided = ({ estimate: { offloadedLayers }, checkpointedLayers, batchSize }: MemoryPlan): number[] => [offloadedLayers, checkpointedLayers, batchSize]

describe('offloaded layers', () => {
  it('are none where all fit, and where computing layers again or smaller batches are enough', () => {
    expect(decided(plan({}))).to.deep.equal([0, 0, 4])
    expect(decided(plan({ availableBytes: 1150 }))).to.deep.equal([0, 10, 4])
    expect(decided(plan({ availableBytes: 1150, gradientCheckpointing: false, autoBatch: true }))).to.deep.equal([0, 0, 1])
  })

  it('are as few of the last as are needed', () => {
    expect(decided(plan({ availableBytes: 650 }))).to.deep.equal([4, 10, 4])
    expect(decided(plan({ availableBytes: 650, gradientCheckpointing: false }))).to.deep.equal([8, 0, 4])
  })

  it('are as many as are asked for, and none where that was asked for', () => {
    expect(decided(plan({ offloadLayers: 3 }))).to.deep.equal([3, 0, 4])
    expect(caught(() => plan({ availableBytes: 650, offloadLayers: 0 })).code).to.equal('FT_OUT_OF_MEMORY')
  })

  it('find room in the memory of the CPU, or the run is refused', () => {
    expect(decided(plan({ availableBytes: 650, hostBytes: 400 }))).to.deep.equal([4, 10, 4])
    expect(caught(() => plan({ availableBytes: 650, hostBytes: 399 })).code).to.equal('FT_OUT_OF_MEMORY')
  })
})
