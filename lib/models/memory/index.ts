// Memory estimates.
export { estimateMemory, memoryOf, memoryRequest, neededBytesOf, type EstimateOptions, type MemoryEstimate, type MemoryRequest } from './estimate.js'
