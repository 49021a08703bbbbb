// Folds a LoRA adapter into its base: a new folder that loads like any model. Weights go tensor by tensor through
// the engine, so memory stays at one tensor.
import fs from 'node:fs/promises'
import { makeError } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { makeFolder } from '../utils/fs.js'
import { native, type NativeDtype } from '../native/binding.js'
import { explainingMismatch, type ExpectedTensor } from './adapter-mismatch.js'
import { withCancel } from './cancel.js'
import { loraShapes, loraTargets, partsHead, withLoraDefaults } from './lora.js'
import { readAdapterConfig } from './peft/config.js'
import { nativeQuantization, quantizationOptionNames, type QuantizationOptions } from './quantization.js'
import { resolveModelFolder } from './resolve.js'
import { resolveAdapterFolder } from './resolve-adapter.js'
import { refuseSameFolder, writeCompanions } from './save.js'

export interface MergeOptions extends QuantizationOptions {
  /** Folder or cached hub name of the base; default: what the adapter's config names. */
  model?: string
  /** Family to read its config.json as. Default: what it calls itself. */
  arch?: string
  /** PEFT adapter: a folder, or a name on the hub. */
  adapter: string
  /** Folder to write; must be empty or absent. */
  output: string
  /** Of the merged weights; default: each tensor keeps its own, and what was quantized gets 16 bits. */
  dtype?: NativeDtype
  /** Default "cpu". */
  device?: string
  onProgress?: (doneBytes: number, totalBytes: number) => void
  signal?: AbortSignal
}

const optionNames: OptionNames<MergeOptions> = { model: true, arch: true, adapter: true, output: true, dtype: true, device: true, onProgress: true, signal: true, ...quantizationOptionNames }

export interface MergeResult {
  output: string
  model: string
  adapter: string
  mergedModules: number
}

/** Errors: FT_ADAPTER, FT_ADAPTER_MISMATCH naming both bases, FT_OUTPUT_EXISTS, FT_STORAGE, those of reading a model. */
export async function mergeAdapter(options: MergeOptions): Promise<MergeResult> {
  checkOptions('mergeAdapter', options, optionNames)
  const adapter = await resolveAdapterFolder(options.adapter, process.env, { signal: options.signal })
  const config = await readAdapterConfig(adapter)
  const model = options.model ?? config.baseModelNameOrPath
  if (model === '') throw makeError('FT_MISSING_CONFIG', `the adapter ${options.adapter} does not name its base model`, { remedy: 'say which base to merge into: --model <folder>' })
  const folder = await resolveModelFolder(model)
  await refuseSameFolder(folder, options.output)
  await refuseSameFolder(adapter, options.output)
  const info = await native().inspectModel(folder, options.arch)
  let expected: ExpectedTensor[] = []
  return await explainingMismatch({ folder: adapter, baseModelName: model, expected: () => expected }, async () => {
    const targets = loraTargets(info, withLoraDefaults(config), { strict: false, place: { code: 'FT_ADAPTER' } })
    expected = loraShapes(info, targets)
    await prepareOutput(options.output)
    const { device = 'cpu', dtype, onProgress } = options
    const quantization = nativeQuantization(options, () => info.linearModules)
    await withCancel(options.signal, (cancel) =>
      native().mergeAdapter({ model: folder, arch: options.arch, adapter, output: options.output, targets, dtype, device, quantization }, onProgress, cancel),
    )
    const headParted = partsHead(info, targets)
    await writeCompanions(folder, options.output, { dtype, architecture: info.architecture, tieWordEmbeddings: info.tieWordEmbeddings && !headParted, headParted })
    return { output: options.output, model, adapter: options.adapter, mergedModules: targets.length }
  })
}

async function prepareOutput(output: string): Promise<void> {
  await makeFolder(output)
  const names = await fs.readdir(output)
  if (names.length === 0) return
  throw makeError('FT_OUTPUT_EXISTS', `${output} is not empty (${names.slice(0, 3).join(', ')}${names.length > 3 ? ' …' : ''})`, {
    remedy: 'choose another folder, or empty this one', details: { path: output },
  })
}
