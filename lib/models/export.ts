// A model as a folder in another form: quantized as bitsandbytes keeps it, which transformers loads, or made plain again. One
// row a format. Tensor by tensor: memory holds the result, or one tensor.
import path from 'node:path'
import { makeError } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { makeFolder } from '../utils/fs.js'
import { native, type NativeDtype } from '../native/binding.js'
import { withCancel } from './cancel.js'
import { readJsonFile } from './json-file.js'
import { loadModel } from './loader.js'
import { quantizationOptionNames, quantizationOptionsOf, schemeOf, type QuantizationOptions } from './quantization.js'
import { resolveModelFolder } from './resolve.js'
import { holdsScheme, refuseSameFolder, saveModelFolder, writeCompanions } from './save.js'

export interface ExportOptions extends Omit<QuantizationOptions, 'loadIn4bit' | 'loadIn8bit'> {
  /** Folder, or cached hub name. */
  model: string
  /** Family to read its config.json as. Default: what it calls itself. */
  arch?: string
  format: ExportFormat
  /** Folder to write into; made when it is not there. */
  output: string
  /** Of what is not quantized. Default: 16 bits as the files have them, else bf16. */
  dtype?: NativeDtype
  onProgress?: (doneBytes: number, totalBytes: number) => void
  signal?: AbortSignal
}

interface Format {
  describe: string
  write(options: ExportOptions): Promise<void>
}

export const exportFormats = {
  'bnb-4bit': { describe: 'linear weights in 4 bits (nf4 or fp4), as transformers writes bitsandbytes models', write: (options) => quantized(options, { loadIn4bit: true }) },
  'bnb-8bit': { describe: 'linear weights in 8 bits (LLM.int8), as transformers writes bitsandbytes models', write: (options) => quantized(options, { loadIn8bit: true }) },
  plain: { describe: 'quantized weights made plain again, in 16 bits', write: plain },
} as const satisfies Record<string, Format>

export type ExportFormat = 'bnb-4bit' | 'bnb-8bit' | 'plain'

const optionNames: OptionNames<ExportOptions> = (() => {
  const { loadIn4bit: _four, loadIn8bit: _eight, ...names } = quantizationOptionNames
  return { ...names, model: true, arch: true, format: true, output: true, dtype: true, onProgress: true, signal: true }
})()

/** Errors: FT_INVALID_ARGUMENT, FT_INCOMPATIBLE_CONFIG, FT_OUTPUT_EXISTS, FT_STORAGE, those of reading a model. */
export async function exportModel(options: ExportOptions): Promise<void> {
  checkOptions('exportModel', options, optionNames)
  const format: Format | undefined = Object.hasOwn(exportFormats, options.format) ? exportFormats[options.format] : undefined
  if (format === undefined) {
    throw makeError('FT_INVALID_ARGUMENT', `there is no export format ${JSON.stringify(options.format)}`, { remedy: `use one of ${Object.keys(exportFormats).join(', ')}` })
  }
  await refuseSameFolder(await resolveModelFolder(options.model), options.output)
  await format.write(options)
}

/** 16 bits: fp16 where the files say so, else bf16. */
async function sixteenBits(folder: string, arch?: string): Promise<NativeDtype> {
  return (await native().inspectModel(folder, arch)).torchDtype === 'float16' ? 'fp16' : 'bf16'
}

async function quantized(options: ExportOptions, how: QuantizationOptions): Promise<void> {
  const { model: name, arch, output, onProgress, signal } = options
  await refuseUnheeded(options, schemeOf({ ...quantizationOptionsOf(options), ...how }) ?? '')
  const folder = await resolveModelFolder(name)
  const dtype = options.dtype ?? (await sixteenBits(folder, arch))
  const skipped = [...(options.llmInt8SkipModules ?? []), ...(await expertNames(folder, arch))]
  const llmInt8SkipModules = skipped.length > 0 ? skipped : undefined
  const model = await loadModel({ name, arch, dtype, device: 'cpu', ...quantizationOptionsOf(options), ...how, llmInt8SkipModules, onProgress, signal })
  try {
    await saveModelFolder(model, output)
  } finally {
    await model.dispose()
  }
}

const described = { bnb4bitQuantType: 'the 4-bit type', bnb4bitUseDoubleQuant: 'double quantization', llmInt8Threshold: 'llm_int8_threshold', llmInt8SkipModules: 'llm_int8_skip_modules' } as const

/** Weights that the files hold in these bits already are written as they are. */
async function refuseUnheeded(options: ExportOptions, scheme: string): Promise<void> {
  const { quantization_config: stored } = await readJsonFile(path.join(await resolveModelFolder(options.model), 'config.json'), 'FT_MODEL_CONFIG')
  const unheeded = (Object.keys(described) as (keyof typeof described)[]).find((name) => options[name] !== undefined)
  if (unheeded === undefined || !holdsScheme(stored, scheme)) return
  throw makeError('FT_INCOMPATIBLE_CONFIG', `${options.model} holds its weights in ${scheme === 'int8' ? 8 : 4} bits already, and they are written as they are: ${described[unheeded]} would change nothing`, {
    remedy: 'leave it out, or make the weights plain first (ft-native export --format plain) and quantize those',
  })
}

/** transformers holds the experts of a layer in parameters of no linear class, which bitsandbytes leaves alone. */
async function expertNames(folder: string, arch?: string): Promise<string[]> {
  const experts = (await native().inspectModel(folder, arch)).linearModules.filter(({ kind }) => kind === 'experts')
  return [...new Set(experts.map(({ name }) => name.replace(/^.*\.\d+\./, '')))]
}

async function plain({ model, arch, output, dtype, onProgress, signal }: ExportOptions): Promise<void> {
  const folder = await resolveModelFolder(model)
  const info = await native().inspectModel(folder, arch)
  await makeFolder(output)
  const kept = dtype ?? (await sixteenBits(folder, arch))
  await withCancel(signal, (cancel) => native().mergeAdapter({ model: folder, arch, output, targets: [], dtype: kept, device: 'cpu' }, onProgress, cancel))
  await writeCompanions(folder, output, { dtype: kept, architecture: info.architecture, tieWordEmbeddings: info.tieWordEmbeddings })
}
