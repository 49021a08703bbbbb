// How weights are kept in fewer bits, by the names that transformers' BitsAndBytesConfig has, and what that costs in bytes.
import { makeError } from '../core/errors/index.js'
import type { OptionNames } from '../core/options.js'
import type { NativeModelInfo, NativeQuantization } from '../native/binding.js'
import { patternMatcher } from './pattern.js'

export type FourBitType = 'nf4' | 'fp4'

export interface QuantizationOptions {
  /** Linear weights in 4 bits, quantized while they are read. */
  loadIn4bit?: boolean
  /** Linear weights in 8 bits (LLM.int8), quantized while they are read. */
  loadIn8bit?: boolean
  /** Default nf4. */
  bnb4bitQuantType?: FourBitType
  /** The scales of 4-bit blocks in 8 bits too. Default false. */
  bnb4bitUseDoubleQuant?: boolean
  /** Inputs of at least this size keep their columns out of the 8-bit product. Default 6. */
  llmInt8Threshold?: number
  /** Modules that stay as they are: names, ends of names or patterns. The output head always does. */
  llmInt8SkipModules?: readonly string[]
}

export const quantizationOptionNames: OptionNames<QuantizationOptions> = {
  loadIn4bit: true, loadIn8bit: true, bnb4bitQuantType: true, bnb4bitUseDoubleQuant: true, llmInt8Threshold: true, llmInt8SkipModules: true,
}

/** The part of some options that says how weights are kept. */
export function quantizationOptionsOf(options: QuantizationOptions): QuantizationOptions {
  const { loadIn4bit, loadIn8bit, bnb4bitQuantType, bnb4bitUseDoubleQuant, llmInt8Threshold, llmInt8SkipModules } = options
  return { loadIn4bit, loadIn8bit, bnb4bitQuantType, bnb4bitUseDoubleQuant, llmInt8Threshold, llmInt8SkipModules }
}

export type QuantizationScheme = FourBitType | 'int8'

/** What is asked for; null: weights stay as they are stored. Errors: FT_INCOMPATIBLE_CONFIG, FT_INVALID_ARGUMENT. */
export function schemeOf({ loadIn4bit = false, loadIn8bit = false, bnb4bitQuantType = 'nf4' }: QuantizationOptions): QuantizationScheme | null {
  if (loadIn4bit && loadIn8bit) throw makeError('FT_INCOMPATIBLE_CONFIG', 'load_in_4bit and load_in_8bit are both set', { remedy: 'keep one of them' })
  if (bnb4bitQuantType !== 'nf4' && bnb4bitQuantType !== 'fp4') {
    throw makeError('FT_INVALID_ARGUMENT', `the 4-bit type ${JSON.stringify(bnb4bitQuantType)} is neither nf4 nor fp4`, { remedy: 'use nf4' })
  }
  return loadIn8bit ? 'int8' : loadIn4bit ? bnb4bitQuantType : null
}

/** For the engine, with module paths in place of patterns. `modules`: asked only where something is to be quantized. */
export function nativeQuantization(options: QuantizationOptions, modules: () => NativeModelInfo['linearModules']): NativeQuantization | undefined {
  const scheme = schemeOf(options)
  if (scheme === null) return undefined
  const { bnb4bitUseDoubleQuant = false, llmInt8Threshold = 6, llmInt8SkipModules = [] } = options
  if (!(Number.isFinite(llmInt8Threshold) && llmInt8Threshold >= 0)) {
    throw makeError('FT_INVALID_ARGUMENT', `llm_int8_threshold must be at least 0, got ${String(llmInt8Threshold)}`, { remedy: 'leave it out: 6 is what LLM.int8 was made with' })
  }
  const skipped = skipMatcher(llmInt8SkipModules)
  const skipModules = llmInt8SkipModules.length === 0 ? [] : modules().map(({ name }) => name).filter(skipped)
  return { scheme, doubleQuant: bnb4bitUseDoubleQuant, int8Threshold: llmInt8Threshold, skipModules }
}

/** As transformers' should_convert_module: a beginning of the path by pattern, or an end of it by name. */
function skipMatcher(patterns: readonly string[]): (name: string) => boolean {
  const matchers = patterns.map((pattern) => patternMatcher(pattern, { what: 'llm_int8_skip_modules' }))
  return (name) => patterns.some((pattern, index) => name.endsWith(pattern) || matchers[index]?.(name) === true)
}

const block = 64
const nestedBlock = 256

/** Memory of a linear weight [out, in], in bytes: the engine's own count. */
const bytesOf = {
  nf4: fourBitBytes,
  fp4: fourBitBytes,
  int8: (outFeatures: number, inFeatures: number): number => outFeatures * inFeatures + 4 * outFeatures,
} satisfies Record<QuantizationScheme, (outFeatures: number, inFeatures: number, doubleQuant: boolean) => number>

function fourBitBytes(outFeatures: number, inFeatures: number, doubleQuant: boolean): number {
  const count = outFeatures * inFeatures
  const blocks = Math.ceil(count / block)
  const scales = doubleQuant ? blocks + 4 * 256 + 4 * Math.ceil(blocks / nestedBlock) : 4 * blocks
  return Math.ceil(count / 2) + 64 + scales
}

export function quantizedBytes(scheme: QuantizationScheme, outFeatures: number, inFeatures: number, doubleQuant = false): number {
  return bytesOf[scheme](outFeatures, inFeatures, doubleQuant)
}

export interface WeightSizes {
  /** All weights as they are kept. */
  weightBytes: number
  /** The largest linear weight in the compute type: what exists beside them at a time. */
  largestBytes: number
}

/** True for what is quantized where that is asked for: neither the output head nor routers, nor what is named. */
function isQuantized({ name, kind }: NativeModelInfo['linearModules'][number], outputHead: string, skipModules: readonly string[]): boolean {
  return name !== outputHead && kind !== 'router' && !skipModules.includes(name)
}

/** Memory that a model's weights take when they are loaded this way; dtype: what is computed in. From headers alone. */
export function weightBytesAs(info: Pick<NativeModelInfo, 'numParameters' | 'linearModules' | 'outputHead'>, valueBytes: number, options: QuantizationOptions): WeightSizes {
  const quantization = nativeQuantization(options, () => info.linearModules)
  let weightBytes = info.numParameters * valueBytes
  let largest = 0
  for (const module of info.linearModules) {
    const { outFeatures, inFeatures, experts = 1, matrices = 1 } = module
    largest = Math.max(largest, outFeatures * inFeatures)
    if (quantization === undefined || !isQuantized(module, info.outputHead, quantization.skipModules)) continue
    const bytes = matrices * quantizedBytes(quantization.scheme, outFeatures / matrices, inFeatures, quantization.doubleQuant)
    weightBytes += experts * (bytes - outFeatures * inFeatures * valueBytes)
  }
  return { weightBytes, largestBytes: largest * valueBytes }
}
