// Memory estimates.
export { estimateMemory, memoryOf, memoryRequest, warmUpBytes, type EstimateOptions, type MemoryEstimate, type MemoryRequest } from './estimate.js'
