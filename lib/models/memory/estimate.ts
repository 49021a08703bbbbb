// What training a model takes in memory, from config.json and the headers of its weights alone: nothing is loaded.
import fs from 'node:fs/promises'
import path from 'node:path'
import { makeError } from '../../core/errors/index.js'
import { checkOptions, type OptionNames } from '../../core/options.js'
import { native, type NativeBuildInfo, type NativeDtype, type NativeLoraTarget } from '../../native/binding.js'
import { resolveDevice, resolveDtype, type DtypeOption } from '../devices.js'
import { inspectModel, type ModelInspection } from '../inspect.js'
import { loraShapes, loraTargets, withLoraDefaults, type LoraOptions } from '../lora.js'
import { quantizationOptionNames, quantizationOptionsOf, schemeOf, weightBytesAs, type QuantizationOptions } from '../quantization.js'
import { expertCopyBytes, expertGapBytes } from './experts.js'
import { layerMatrices, layerWidths, sum, type MemoryModel } from './layers.js'
import { stateBytes, type TrainedShape } from './state.js'
import { stepBytes, type StepShape } from './step.js'

export interface MemoryEstimate {
  /** Frozen or trained, in the compute dtype; or quantized. Those that are offloaded are not among them, but what one visit takes. */
  weightBytes: number
  /** Matrices that wait in the memory of the CPU, and of how many layers they are. */
  offloadedBytes: number
  offloadedLayers: number
  /** fp32 masters beside the weights or copies that are computed with; and an adapter itself. */
  masterBytes: number
  gradientBytes: number
  optimizerBytes: number
  /** What layers keep until their backward. */
  activationBytes: number
  /** A chunk of logits and what belongs to the loss; a layer's backward. They do not meet: the larger counts. */
  lossBytes: number
  workspaceBytes: number
  /** Pages that the allocator holds around its largest block, a chunk of logits, and those of experts, and cannot use for another. */
  fragmentationBytes: number
  /** Node.js, LibTorch and the tokenizer. */
  runtimeBytes: number
  /** The most at a time: the peak resident size of the process. */
  totalBytes: number
  /** Of the heaviest micro-batch. */
  tokens: number
  layers: number
  checkpointedLayers: number
  dtype: NativeDtype
  device: string
}

/** Everything that is decided, and sizes. */
export interface MemoryRequest {
  model: MemoryModel
  /** Of weights as they are kept, where that is not all in the compute dtype. */
  keptWeightBytes?: number
  dtype: NativeDtype
  device: string
  attention: 'auto' | 'flash' | 'eager'
  /** What an adapter attaches to; 'weights': every weight learns. */
  trained: readonly NativeLoraTarget[] | 'weights'
  optimizer: string
  /** Tokens of each row of the heaviest micro-batch. */
  rows: readonly number[]
  checkpointedLayers: number
  /** So many of the last layers keep their matrices in the memory of the CPU. On a GPU alone. */
  offloadedLayers: number
  threads: number
  bf16Native: boolean
  /** Of the tokenizer's files. */
  tokenizerFileBytes: number
}

export const valueBytesOf = (dtype: NativeDtype): number => (dtype === 'fp32' ? 4 : 2)

export function memoryOf(request: MemoryRequest): MemoryEstimate {
  const { model, dtype, device, trained } = request
  const targets = trained === 'weights' ? [] : trained
  const valueBytes = valueBytesOf(dtype)
  const state = stateBytes(trainedShapeOf(model, trained), { valueBytes, optimizer: request.optimizer })
  const step = stepBytes(model, layerWidths(model, targets), {
    rows: request.rows, valueBytes, checkpointedLayers: request.checkpointedLayers, kernels: kernelsOf(request), threads: request.threads, full: trained === 'weights',
  })
  const kept = request.keptWeightBytes ?? model.numParameters * valueBytes
  const { offloadedBytes, visitBytes, offloadedLayers } = offloadedOf(request, kept)
  const weightBytes = kept - offloadedBytes + visitBytes
  const runtimeBytes = runtimeBytesOf(request)
  const fragmentationBytes = Math.round(fragmentation * step.largest) + expertBytes(request, targets, step.logits + step.workspace)
  return {
    weightBytes, offloadedBytes, offloadedLayers, ...state, activationBytes: step.saved, lossBytes: step.logits, workspaceBytes: step.workspace, fragmentationBytes, runtimeBytes,
    totalBytes: weightBytes + state.masterBytes + state.gradientBytes + state.optimizerBytes + step.peak + fragmentationBytes + runtimeBytes,
    tokens: sum(request.rows), layers: model.numHiddenLayers, checkpointedLayers: Math.min(request.checkpointedLayers, model.numHiddenLayers), dtype, device,
  }
}

function expertBytes({ model, dtype, device, keptWeightBytes }: MemoryRequest, targets: readonly NativeLoraTarget[], touched: number): number {
  const plain = device === 'cpu' && keptWeightBytes === undefined
  return (plain ? Math.min(expertGapBytes(model, valueBytesOf(dtype)), touched) : 0) + expertCopyBytes(model, targets)
}

/** Matrices of the last layers, in the share of all matrices that they have; the largest of them is on the GPU at a time, as it is computed with. */
function offloadedOf({ model, dtype, device, offloadedLayers: asked }: MemoryRequest, kept: number): { offloadedBytes: number; visitBytes: number; offloadedLayers: number } {
  const layers = device === 'cpu' ? [] : layerMatrices(model)
  const last = layers.slice(Math.max(0, layers.length - asked))
  if (last.length === 0) return { offloadedBytes: 0, visitBytes: 0, offloadedLayers: 0 }
  const all = sum(layers.map(({ values }) => values))
  const matrixBytes = kept - (model.numParameters - all) * valueBytesOf(dtype)
  return {
    offloadedBytes: Math.round((matrixBytes * sum(last.map(({ values }) => values))) / all),
    visitBytes: Math.max(...last.map(({ largest }) => largest)) * valueBytesOf(dtype), offloadedLayers: last.length,
  }
}

function kernelsOf({ attention, device, dtype, bf16Native }: MemoryRequest): StepShape['kernels'] {
  if (attention === 'eager') return 'eager'
  return device === 'cpu' && dtype === 'bf16' && bf16Native ? 'tiles' : 'flash'
}

function trainedShapeOf(model: MemoryModel, trained: MemoryRequest['trained']): TrainedShape {
  if (trained !== 'weights') return { kind: 'adapter', tensors: loraShapes(model, trained.filter(({ tied }) => tied !== true)).map(({ shape }) => shape.reduce((product, size) => product * size, 1)) }
  const linear = model.linearModules.map(({ inFeatures, outFeatures, experts = 1 }) => experts * inFeatures * outFeatures)
  const tensors = [model.vocabSize * model.hiddenSize, ...linear]
  return { kind: 'weights', tensors: [...tensors, Math.max(0, model.numParameters - sum(tensors))] }
}

/**
 * Resident before the first tensor and by the code that a step runs: measured with Node.js 20 and LibTorch 2.13 on Linux, by
 * `npm run bench -- --question memory`. The vocabulary of a tokenizer becomes objects of so many times its file.
 */
const processBytes = 250e6
const tokenizerGrowth = 21
/** Code and buffers of the library that multiplies where the engine's own kernels do not. */
const libraryBytes = 33e6

function runtimeBytesOf(request: MemoryRequest): number {
  return processBytes + tokenizerGrowth * request.tokenizerFileBytes + (kernelsOf(request) === 'tiles' ? 0 : libraryBytes)
}

/** Of the largest block, as measured: from a fifth to three quarters on full-size shapes. */
const fragmentation = 0.3

/** What code and libraries take once a step has run, beyond what they take when a model is about to be loaded. */
const warmUpBytes = 45e6

/** Of an estimate, what a process does not have yet when a model is about to be loaded: to be compared with what is free. */
export function neededBytesOf({ totalBytes, runtimeBytes }: Pick<MemoryEstimate, 'totalBytes' | 'runtimeBytes'>): number {
  return totalBytes - runtimeBytes + warmUpBytes
}

export interface EstimateOptions extends QuantizationOptions {
  /** As for loadModel. */
  name: string
  init?: 'pretrained' | 'random'
  arch?: string
  /** Default lora. */
  method?: 'lora' | 'qlora' | 'full'
  dtype?: DtypeOption
  device?: string
  attention?: 'auto' | 'flash' | 'eager'
  /** Of the adapter. */
  lora?: LoraOptions
  /** Default adamw. */
  optimizer?: string
  /** Default 4 rows of 1024 tokens. */
  batchSize?: number
  maxSeqLength?: number
  /** Tokens of each row of the micro-batch, instead of batchSize and maxSeqLength. */
  rows?: readonly number[]
  /** Every layer, none, or so many of the first. Default false. */
  gradientCheckpointing?: boolean | number
  /** On a GPU, so many of the last layers keep their matrices in the memory of the CPU. Default 0. */
  offloadLayers?: number
  /** CPU threads of the engine. Default: as many as it would use. */
  threads?: number
}

const optionNames: OptionNames<EstimateOptions> = {
  name: true, init: true, arch: true, method: true, dtype: true, device: true, attention: true, lora: true, optimizer: true, batchSize: true, maxSeqLength: true, rows: true,
  gradientCheckpointing: true, offloadLayers: true, threads: true, ...quantizationOptionNames,
}

/** Errors: those of inspectModel; FT_UNKNOWN_TARGET_MODULE; FT_INVALID_ARGUMENT. */
export async function estimateMemory(options: EstimateOptions): Promise<MemoryEstimate> {
  checkOptions('estimateMemory', options, optionNames)
  return memoryOf(await memoryRequest(options))
}

/** The request of an estimate, with everything that is decided by the model and this machine. */
export async function memoryRequest(options: EstimateOptions, build: Pick<NativeBuildInfo, 'bf16Native' | 'threads' | 'devices'> = native().buildInfo()): Promise<MemoryRequest> {
  const { method = 'lora', batchSize = 4, maxSeqLength = 1024, gradientCheckpointing = false } = options
  const rows = options.rows ?? (Number.isInteger(batchSize) ? Array<number>(Math.max(0, batchSize)).fill(maxSeqLength) : [])
  if (rows.length === 0 || !rows.every((length) => Number.isInteger(length) && length > 0)) {
    throw makeError('FT_INVALID_ARGUMENT', 'a micro-batch needs rows of at least one token', { remedy: 'pass batchSize and maxSeqLength as whole numbers, or rows: [512, 512]' })
  }
  const model = await inspectModel(options.name, {}, { init: options.init ?? 'pretrained', arch: options.arch })
  const device = resolveDevice(options.device, build)
  const all = gradientCheckpointing === true ? model.numHiddenLayers : 0
  const dtype = resolveDtype(options.dtype, device, build)
  return {
    model, device, dtype, keptWeightBytes: keptWeightBytes(model, dtype, options), attention: options.attention ?? 'auto',
    trained: method === 'full' ? 'weights' : loraTargets(model, withLoraDefaults(options.lora ?? {})),
    optimizer: options.optimizer ?? 'adamw', rows, checkpointedLayers: typeof gradientCheckpointing === 'number' ? gradientCheckpointing : all,
    offloadedLayers: options.offloadLayers ?? 0,
    threads: options.threads ?? build.threads, bf16Native: build.bf16Native, tokenizerFileBytes: await tokenizerFileBytes(model.folder),
  }
}

/** undefined: all in the compute dtype. Where products are not tiled, one matrix at a time is made plain. */
function keptWeightBytes(model: ModelInspection, dtype: NativeDtype, options: EstimateOptions): number | undefined {
  const quantization = options.method === 'qlora' ? { ...quantizationOptionsOf(options), loadIn4bit: true } : quantizationOptionsOf(options)
  const { weightBytes, largestBytes } = weightBytesAs(model, valueBytesOf(dtype), quantization)
  const onePlain = dtype === 'bf16' ? 0 : largestBytes
  if (model.quantization !== null) return model.weightBytes + onePlain // as they are stored
  return schemeOf(quantization) === null ? undefined : weightBytes + onePlain
}

/** Of tokenizer.json: what becomes objects of the process. */
export async function tokenizerFileBytes(folder: string): Promise<number> {
  return await fs.stat(path.join(folder, 'tokenizer.json')).then((stats) => stats.size, () => 0)
}
