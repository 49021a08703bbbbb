// The addon's whole surface, typed in one place, and the lazy load of it. Nothing else in the package
// requires the .node file. Every Promise method runs on the engine thread, first in first out, and
// rejects with a FineTuneError. The native side expects checked arguments; it checks again and throws.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import type { ComputeDtype } from '../core/dtype.js'
import { fail, fromNative } from '../core/errors/index.js'

/** Rows of tokens laid end to end, without padding. `rows = cuSeqlens.length - 1`. */
export interface NativeBatch {
  /** [tokens] */
  inputIds: Int32Array
  /** [tokens]; -100 carries no loss. Position t of a row is predicted from its positions < t. */
  labels?: Int32Array
  /** [rows + 1]; row r holds tokens cuSeqlens[r] … cuSeqlens[r + 1] - 1 */
  cuSeqlens: Int32Array
  /** [rows]; index of each row in its optimizer step, the key of its dropout. Default 0, 1, 2 … */
  rowIds?: Int32Array
}

export type NativeDtype = ComputeDtype

export interface NativeBuildInfo {
  libtorch: string
  cuda: boolean
  mps: boolean
  /** Version of the sentencepiece library, or null where it is absent. */
  sentencepiece: string | null
  /** Instruction sets of this CPU that the kernels use, for example "avx512_bf16". */
  cpuCapability: string
  /** Versions of the CPU kernels in use, for people to read. */
  cpuKernels: string
  threads: number
  /** True where bf16 products are native (AMX or AVX512-bf16; any CUDA device). */
  bf16Native: boolean
  devices: { name: string; description: string; totalBytes: number }[]
}

export type NativeModuleRole = 'qkv' | 'query_in' | 'query_up' | 'key_value_in' | 'key_value_up' | 'attention_out' | 'mlp_in' | 'mlp_down' | 'router' | 'experts_in' | 'experts_down' |
  'shared_in' | 'shared_down' | 'shared_gate' | 'outside'

export interface NativeEmbeddingModule {
  /** Module path, for example "model.embed_tokens". */
  name: string
  /** head: it shares the embedding's weight. */
  kind: 'embedding' | 'head'
  /** Of an embedding the size of the vocabulary, and of a head its input's width. */
  inFeatures: number
  outFeatures: number
}

export interface NativeLinearModule {
  /** Module path, for example "model.layers.0.self_attn.q_proj". */
  name: string
  inFeatures: number
  outFeatures: number
  bias: boolean
  /** The weight is stored as [in, out]. */
  transposed: boolean
  /** What it is to the block that it belongs to; outside: it is of no layer. */
  role: NativeModuleRole
  /** Absent: a linear module. A router is one in all but its class; of experts this is a parameter that holds a matrix for each. */
  kind?: 'router' | 'experts'
  /** Of experts: how many, how many of them a token passes, and how many tensors one above the other files have of each. */
  experts?: number
  expertsPerToken?: number
  matrices?: number
}

export interface NativeModelInfo {
  modelType: string
  /** The class that transformers builds. */
  architecture: string
  /** model_type of the model whose text part this is; empty: of none. */
  textPartOf: string
  vocabSize: number
  hiddenSize: number
  intermediateSize: number
  numHiddenLayers: number
  numAttentionHeads: number
  numKeyValueHeads: number
  headDim: number
  maxPositionEmbeddings: number
  tieWordEmbeddings: boolean
  /** Attention and MLP read the same residual stream. */
  parallelResidual: boolean
  /** Norms of a layer on what its blocks add to the stream. */
  postNorms: number
  slidingWindow: number
  ropeType: string
  eosTokenIds: number[]
  bosTokenId: number | null
  padTokenId: number | null
  /** Of the files: "bfloat16", "float16", "float32" or "". */
  torchDtype: string
  numParameters: number
  weightBytes: number
  /** Every linear module a target pattern can name, in module order, lm_head last when it is untied. */
  linearModules: NativeLinearModule[]
  /** Other modules that adapters can target: the embedding of tokens and, where it shares the embedding's weight, the output head. */
  embeddingModules: NativeEmbeddingModule[]
  /** Module path of the output head. */
  outputHead: string
  /** How the files hold linear weights ("bitsandbytes 4-bit", "GPTQ 4-bit" …), or of a loaded model how memory does ("nf4"); null: plain. */
  quantization: string | null
  /** Target names that PEFT 0.21 turns into names of parameters, in its order; empty where it does not. */
  renamedTargets: Record<string, string>
  /** Tensors of the files that the model has no place for; rotary buffers and a tied head left out. */
  unusedTensors: string[]
}

/** How linear weights are kept that the files hold in more bits. */
export interface NativeQuantization {
  scheme: 'nf4' | 'fp4' | 'int8'
  /** 4-bit schemes: their scales in 8 bits. */
  doubleQuant: boolean
  /** int8: inputs of at least this size keep their columns out of the 8-bit product. */
  int8Threshold: number
  /** Module paths that stay as they are; the output head always does. */
  skipModules: string[]
}

export interface NativeLoadOptions {
  /** Folder with config.json (and weights unless init is "random"). */
  path: string
  dtype: NativeDtype
  /** "cpu", "cuda", "cuda:1", "mps"; never "auto". */
  device: string
  init: 'pretrained' | 'random'
  /** Kernel of the attention: flash where the device has one (auto), or plain matrix products (eager). Default auto. */
  attention?: 'auto' | 'flash' | 'eager'
  /** Family to read config.json as; default: what it calls itself. */
  arch?: string
  /** Seed of a random initialisation. */
  seed: number
  quantization?: NativeQuantization
  /** So many of the last layers keep their matrices on the host; they visit the device for each product. Default 0. */
  offloadLayers?: number
}

export interface NativeLoraTarget {
  /** Module path as in linearModules or embeddingModules. */
  module: string
  r: number
  /** Multiplies B·A·x: alpha / r. */
  scale: number
  /** Of a head that shares the embedding's weight: its matrices are the embedding's, transposed. */
  tied?: boolean
}

export interface NativeLoraOptions {
  type: 'lora'
  targets: NativeLoraTarget[]
  dropout: number
  /** kaiming: A ~ U(±1/√in), B = 0, as PEFT's default; gaussian: A ~ N(0, 1/r), B = 0. */
  init: 'kaiming' | 'gaussian'
  seed: number
}

export interface NativeTensorInfo { name: string; shape: number[]; numel: number }

export interface NativeStepOptions {
  learningRate: number
  /** 0: no clipping. */
  maxGradNorm: number
  /** Key of dropout, with `step` and the batch's rowIds. */
  seed: number
  step: number
  /** Recompute layers in backward: every one, or so many of the first. */
  gradientCheckpointing: boolean | number
}

export interface NativeStepResult {
  /** Mean over the supervised tokens of all micro-batches. */
  loss: number
  /** L2 over all trainable parameters, before clipping (and after unscaling for fp16). */
  gradNorm: number
  tokens: number
  supervisedTokens: number
  /** False: nothing was updated, see `skipped`. */
  applied: boolean
  skipped: null | 'loss_not_finite' | 'gradient_not_finite' | 'loss_scale_overflow'
  /** fp16 only, else 1. */
  lossScale: number
  /** Seconds by phase. */
  forwardSeconds: number
  backwardSeconds: number
  optimizerSeconds: number
}

export interface NativeGenerateOptions {
  maxNewTokens: number
  /** 0: greedy. */
  temperature: number
  /** 0: off. */
  topK: number
  /** 1: off. */
  topP: number
  /** 1: off. */
  repetitionPenalty: number
  seed: number
  /** A row ends after producing one of these. */
  stopTokenIds: Int32Array
  /** false: recompute the whole row for every token (a test of the cache). */
  useCache: boolean
}

export interface NativeModel {
  info(): NativeModelInfo & { dtype: NativeDtype; device: string }
  /** Logits of every position, fp32 [tokens, vocab]. */
  forward(batch: NativeBatch, signal?: NativeCancel): Promise<Float32Array>
  /** [tokens]: log p(label at t | row before t) where labels[t] ≠ -100 and t is not a row's first, else 0. */
  logprobs(batch: NativeBatch): Promise<Float32Array>
  /** Loss only. */
  evaluate(batch: NativeBatch): Promise<{ lossSum: number; supervisedTokens: number; tokens: number }>
  /** A forward pass kept for one backward; one Pass is live a model. Gradients add up in the trainable parameters. */
  forwardPass(batch: NativeBatch, options: Pick<NativeStepOptions, 'seed' | 'step' | 'gradientCheckpointing'>): Promise<NativePass>
  /** Rows ready to produce tokens; call next() until done. */
  startGeneration(prompts: Int32Array[], options: NativeGenerateOptions): Promise<NativeGeneration>
  addAdapter(options: NativeLoraOptions): Promise<NativeAdapter>
  /** Which adapter forward uses; null: the base. */
  setActiveAdapter(adapter: NativeAdapter | null): Promise<void>
  /** Makes all weights trainable (full fine-tuning). Call before createOptimizer. */
  setTrainable(): Promise<void>
  /** Writes model.safetensors, or shards and index, in `dtype` (default: compute dtype). fsynced. */
  saveWeights(folder: string, options: { maxShardBytes: number; dtype?: NativeDtype }): Promise<void>
  /** Reloads weights of the same shapes (resume of full fine-tuning). */
  loadWeights(folder: string): Promise<void>
  dispose(): void
}

export interface NativeAdapter {
  /** PEFT names ("base_model.model.<module>.lora_A.weight") with shapes, in file order. */
  tensors(): NativeTensorInfo[]
  /** fp32 masters, as PEFT reads them, with the base's own weights of the modules `baseLayers`. fsynced. */
  save(path: string, baseLayers?: readonly string[]): Promise<void>
  /** Errors: FT_ADAPTER_MISMATCH when names or shapes differ from tensors(). */
  load(path: string): Promise<void>
  dispose(): void
}

export interface NativeOptimizerOptions {
  /** A row of the engine's table: adamw, adamw_8bit, paged_adamw_8bit. */
  type: string
  beta1: number
  beta2: number
  eps: number
  /** Decoupled; biases and norm weights are exempt. */
  weightDecay: number
}

export interface NativeOptimizer {
  /** One optimizer step: forward and backward of every micro-batch, clip, update. */
  step(batches: NativeBatch[], options: NativeStepOptions, signal?: NativeCancel): Promise<NativeStepResult>
  /** The forward and backward half of step(): gradients of the mean loss over all supervised tokens add up. */
  accumulate(batches: NativeBatch[], options: Omit<NativeStepOptions, 'learningRate' | 'maxGradNorm'>, signal?: NativeCancel): Promise<NativeStepResult>
  /** Clips and updates with the gradients at hand, then zeroes them. */
  apply(options: { learningRate: number; maxGradNorm: number }): Promise<{ gradNorm: number; applied: boolean; skipped: NativeStepResult['skipped'] }>
  zeroGradients(): Promise<void>
  /** Gradients by parameter name, fp32. */
  gradients(): Promise<Record<string, { shape: number[]; data: Float32Array }>>
  /** Moments, fp32 masters where they are not saved elsewhere, step count and loss scale, as safetensors. fsynced. */
  save(path: string): Promise<void>
  load(path: string): Promise<void>
  numTrainableParameters(): number
  dispose(): void
}

export interface NativePass {
  /** As NativeModel.logprobs. */
  readonly logprobs: Float32Array
  /** grad: d loss / d logprobs, [tokens]. Once. */
  backward(grad: Float32Array): Promise<void>
  dispose(): void
}

export interface NativeGeneration {
  /** One new token a row; -1 for rows that have ended. done when all have. */
  next(signal?: NativeCancel): Promise<{ tokens: Int32Array; done: boolean }>
  /** Ends a row early (a stop string was found). */
  finish(row: number): void
  dispose(): void
}

/** Read between micro-batches and layers of a long call: the call rejects with FT_CANCELLED. */
export interface NativeCancel { cancel(): void }

export interface NativeSentencepiece {
  encode(text: string): Int32Array
  /** As encode, and where each id came from: byte offsets into the UTF-8 of text, [begin0, end0, begin1, …]. */
  encodeWithOffsets(text: string): { ids: Int32Array; offsets: Int32Array }
  decode(ids: Int32Array): string
  /** Index = id; the piece, its score and its type (1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte). */
  pieces(): { piece: string; score: number; type: number }[]
  dispose(): void
}

export interface NativeLock { release(): void }

export interface NativeMergeOptions {
  model: string
  /** Family to read its config.json as; default: what it calls itself. */
  arch?: string
  /** undefined: the base alone, made plain. */
  adapter?: string
  output: string
  /** Module path → scale. */
  targets: NativeLoraTarget[]
  /** Default: each tensor's own; of quantized weights what they were made from, where that has 16 bits, else bf16. */
  dtype?: NativeDtype
  device: string
  /** The base as it is loaded with this: quantized and made plain again before the adapter is added. */
  quantization?: NativeQuantization
}

export interface NativeAddon {
  buildInfo(): NativeBuildInfo
  setNumThreads(threads: number): Promise<void>
  /** Resolves when everything submitted to the engine before has run, the frees of dispose() included. */
  idle(): Promise<void>
  /** From config.json and safetensors headers alone; checks that every tensor is there with its shape. */
  inspectModel(path: string, arch?: string): Promise<NativeModelInfo & { files: string[] }>
  /** The same facts from config.json alone; weightBytes is 0. */
  inspectConfig(path: string, arch?: string): NativeModelInfo
  supportedModelTypes(): string[]
  loadModel(options: NativeLoadOptions, onProgress?: (loadedBytes: number, totalBytes: number) => void, signal?: NativeCancel): Promise<NativeModel>
  createOptimizer(model: NativeModel, options: NativeOptimizerOptions): Promise<NativeOptimizer>
  createCancel(): NativeCancel
  /** Header of a safetensors file. */
  readSafetensorsHeader(path: string): { metadata: Record<string, string>; tensors: { name: string; dtype: string; shape: number[] }[] }
  /** Folds a LoRA adapter into the base weights, shard by shard, into `output` (weights and index only). */
  mergeAdapter(options: NativeMergeOptions, onProgress?: (doneBytes: number, totalBytes: number) => void, signal?: NativeCancel): Promise<void>
  loadSentencepiece(path: string): NativeSentencepiece
  /** flock on <folder>/.ft-native.lock; throws FT_OUTPUT_LOCKED naming the holder. Dies with the process. */
  lockFolder(folder: string): NativeLock
  /** Bytes: resident now, peak resident; of CPU tensors of 64 KiB and more: in use, at most at a time, and held for them. */
  memory(): { rssBytes: number; peakRssBytes: number; tensorBytes: number; peakTensorBytes: number; reservedTensorBytes: number }
  memoryAvailable(): number
}

/** What only this file uses. */
interface NativeModule extends NativeAddon {
  /** Makes the public error from an Error with code, remedy and details; every native error passes through it. */
  setErrorFactory(factory: (error: unknown) => unknown): void
  /** The process is about to end: a running task must not meet static objects that are being destroyed. */
  processExit(): void
}

let addon: NativeAddon | undefined

/** Loads the addon on first use. Throws FT_ADDON_MISSING with the remedy when it was not built. */
export function native(): NativeAddon {
  addon ??= load()
  return addon
}

// lib/native (tsx) and dist/native lie equally deep in the package.
const packageRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Where the addon may be, best first. FT_NATIVE_ADDON names another build of it (a sanitizer build, for example). */
function candidates(): string[] {
  const asked = process.env.FT_NATIVE_ADDON
  if (asked !== undefined && asked !== '') return [path.resolve(asked)]
  return ['build/Release/ft_native.node', 'build/ft_native.node', 'build/Debug/ft_native.node'].map((file) => path.join(packageRoot, file))
}

/**
 * GNU OpenMP's threads spin for milliseconds at every barrier by default: where another program wants the cores too, a
 * step becomes many times slower. Read once, when its library is loaded; a user's own setting stays.
 */
function limitSpinning(): void {
  if (process.env['OMP_WAIT_POLICY'] === undefined) process.env['GOMP_SPINCOUNT'] ??= '10000'
}

function load(): NativeModule {
  const files = candidates()
  const file = files.find((candidate) => existsSync(candidate))
  if (file === undefined) {
    fail('FT_ADDON_MISSING', `the native addon is not built: no ${files[0] ?? 'ft_native.node'}`, {
      remedy: `run \`npm run build:native\` in ${packageRoot}`,
      details: { files },
    })
  }
  limitSpinning()
  let loaded: NativeModule
  try {
    loaded = createRequire(import.meta.url)(file) as NativeModule
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    fail('FT_ADDON_MISSING', `the native addon cannot be loaded: ${reason}`, {
      remedy: `run \`npm run build:native\` in ${packageRoot}; \`ft-native doctor\` names what is missing`,
      details: { file },
      cause: error,
    })
  }
  loaded.setErrorFactory(fromNative)
  if (isMainThread) process.once('exit', () => loaded.processExit())
  return loaded
}
