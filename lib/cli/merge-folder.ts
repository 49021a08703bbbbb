// A merge on the command line: the merged model is made beside the output's place, checked against base and adapter, and
// only then put there.
import { inspectModel, mergeAdapter, readAdapterConfig, resolveAdapterFolder, presentDevice, type MergeResult, type QuantizationOptions } from '../models/index.js'
import type { NativeDtype } from '../native/binding.js'
import { getLogger } from '../utils/logger.js'
import { compareWithAdapter, type MergeDrift } from './merge-drift.js'
import { writeModelFolder } from './model-output.js'

export interface MergeRequest {
  model?: string
  /** Family to read the base's config.json as. */
  arch?: string
  adapter: string
  output: string
  dtype?: NativeDtype
  /** How the base was loaded when the adapter was trained. */
  quantization: QuantizationOptions
  /** Where base and adapter, and the result, are computed for the comparison. */
  device: string
  overwrite: boolean
  verify: boolean
  signal: AbortSignal
  onProgress: (done: number, total: number) => void
}

export interface MergeReport {
  output: string
  model: string
  adapter: string
  merged_modules: number
  parameters: number
  weight_bytes: number
  /** Weight files, names inside the folder. */
  files: string[]
  /** null: not compared. */
  drift: MergeDrift | null
}

/** Errors: those of mergeAdapter; FT_OUTPUT_EXISTS; FT_EVALUATION when the result does not compute what it should. */
export async function mergeInto(request: MergeRequest): Promise<MergeReport> {
  const device = presentDevice(request.device)
  const base = request.model ?? (await readAdapterConfig(await resolveAdapterFolder(request.adapter, process.env, { signal: request.signal }))).baseModelNameOrPath
  const inputs = base === '' ? [request.adapter] : [request.adapter, base]
  return await writeModelFolder({ output: request.output, overwrite: request.overwrite, inputs }, async (temporary) => {
    const { model, arch, adapter, dtype, signal, onProgress, quantization } = request
    const result = await mergeAdapter({ model, arch, adapter, output: temporary, dtype, signal, onProgress, ...quantization })
    const info = await inspectModel(temporary, {}, { arch }) // every tensor is there, with its shape
    const drift = request.verify ? await drifted(request, result, temporary, device) : null
    return {
      output: request.output, model: result.model, adapter, merged_modules: result.mergedModules, parameters: info.numParameters,
      weight_bytes: info.weightBytes, files: info.files, drift,
    }
  })
}

async function drifted(request: MergeRequest, { model, adapter }: MergeResult, merged: string, device: string): Promise<MergeDrift | null> {
  const drift = await compareWithAdapter({ model, arch: request.arch, adapter, merged, device, signal: request.signal, quantization: request.quantization })
  if (drift === null) getLogger().warn('the result was not compared with base and adapter: there is not enough memory to load the model')
  return drift
}
