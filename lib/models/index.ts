// The models floor: loading, adapters, generation, optimizers, PEFT and model folders.
export { Adapter, type AdapterFacts } from './adapter.js'
export { packBatch, packMicroBatches, type BatchInput, type PackedBatch, type RowBatch, type TokenRow } from './batch.js'
export { resolveDevice, resolveDtype, type DtypeOption } from './devices.js'
export { diagnostics, type Diagnostics } from './diagnostics.js'
export { exportFormats, exportModel, type ExportFormat, type ExportOptions } from './export.js'
export type { FinishReason, GenerateBatchOptions, GeneratedRow, GenerateOptions } from './generate.js'
export { inspectModel, type InspectOptions, type ModelInspection } from './inspect.js'
export { loadModel, loadModelAndTokenizer, ModelLoader, type LoadModelOptions } from './loader.js'
export { lockFolder } from './lock.js'
export { loraParameters, loraTargets, withLoraDefaults, type LoraOptions, type ResolvedLoraOptions } from './lora.js'
export { estimateMemory, memoryOf, memoryRequest, warmUpBytes, type EstimateOptions, type MemoryEstimate, type MemoryRequest } from './memory/index.js'
export { mergeAdapter, type MergeOptions, type MergeResult } from './merge.js'
export { Model, type AddAdapterOptions, type ModelInfo, type PassOptions } from './model.js'
export { createOptimizer, Optimizer, type EngineStepOptions, type OptimizerOptions, type StepOptions, type StepResult } from './optimizer.js'
export { Pass } from './pass.js'
export { adapterConfigText, readAdapterConfig, writeAdapterConfig, type PeftLoraConfig } from './peft/config.js'
export {
  quantizationOptionNames, quantizationOptionsOf, quantizedBytes, schemeOf, weightBytesAs,
  type FourBitType, type QuantizationOptions, type QuantizationScheme, type WeightSizes,
} from './quantization.js'
export { resolveModelFolder } from './resolve.js'
export { saveModelFolder, type SaveModelOptions } from './save.js'
export { TargetModuleDetector, type ModuleSource, type TargetModules, type TargetOptions } from './target-modules.js'
