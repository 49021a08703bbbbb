// The folder work around a merge: nothing under the output's name until the merged model is whole and checked; an
// earlier model goes only when the new one is there.
import fs from 'node:fs/promises'
import path from 'node:path'
import { fail } from '../core/errors/index.js'
import { inspectModel, mergeAdapter, readAdapterConfig, resolveDevice, type MergeResult } from '../models/index.js'
import type { NativeDtype } from '../native/binding.js'
import { errnoOf, fsyncFolder, makeFolder, pathKind, removePath, renameSynced } from '../utils/fs.js'
import { getLogger } from '../utils/logger.js'
import { compareWithAdapter, type MergeDrift } from './merge-drift.js'

export interface MergeRequest {
  model?: string
  adapter: string
  output: string
  dtype?: NativeDtype
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
  const output = path.resolve(request.output)
  await cleanLeftovers(output)
  await checkOutput(output, request.overwrite)
  const base = request.model ?? (await readAdapterConfig(request.adapter)).baseModelNameOrPath
  await refuseInputs(output, base === '' ? [request.adapter] : [request.adapter, base])
  const temporary = path.join(path.dirname(output), `.tmp-${path.basename(output)}-${process.pid}`)
  try {
    await removePath(temporary)
    await makeFolder(path.dirname(output))
    const { model, adapter, dtype, signal, onProgress } = request
    const result = await mergeAdapter({ model, adapter, output: temporary, dtype, signal, onProgress })
    const info = await inspectModel(temporary) // every tensor is there, with its shape
    const drift = request.verify ? await drifted(request, result, temporary) : null
    await fsyncFolder(temporary)
    await putInPlace(temporary, output)
    return {
      output: request.output, model: result.model, adapter, merged_modules: result.mergedModules, parameters: info.numParameters,
      weight_bytes: info.weightBytes, files: info.files, drift,
    }
  } finally {
    await removePath(temporary)
  }
}

async function drifted(request: MergeRequest, { model, adapter }: MergeResult, merged: string): Promise<MergeDrift | null> {
  const device = resolveDevice(request.device)
  const drift = await compareWithAdapter({ model, adapter, merged, device, signal: request.signal })
  if (drift === null) getLogger().warn('the result was not compared with base and adapter: there is not enough memory to load the model')
  return drift
}

/** Empty or absent is fine; a model is replaced with --overwrite; anything else in a folder is somebody's. */
async function checkOutput(output: string, overwrite: boolean): Promise<void> {
  const kind = await pathKind(output)
  if (kind === null) return
  if (kind === 'file') fail('FT_OUTPUT_EXISTS', `${output} is a file`, { remedy: 'choose another --output', details: { path: output } })
  const names = await fs.readdir(output)
  if (names.length === 0) return
  const holdsModel = names.includes('config.json') || names.some((name) => name.endsWith('.safetensors'))
  if (overwrite && holdsModel) return
  const found = `${names.slice(0, 3).join(', ')}${names.length > 3 ? ' …' : ''}`
  fail('FT_OUTPUT_EXISTS', `the output folder ${output} is not empty (${found})`, {
    remedy: holdsModel ? 'replace it with --overwrite, or choose another --output' : 'it holds no model, so --overwrite does not replace it: choose another --output',
    details: { path: output },
  })
}

/** Replacing the base or the adapter, or a folder around them, would lose what was merged. */
async function refuseInputs(output: string, inputs: readonly string[]): Promise<void> {
  const target = await realPath(output)
  for (const input of inputs) {
    const source = await realPath(input)
    const inside = path.relative(target, source)
    if (inside !== '' && (inside.startsWith('..') || path.isAbsolute(inside))) continue
    fail('FT_OUTPUT_EXISTS', `the output folder ${output} is or holds ${input}, which is merged`, { remedy: 'choose another --output', details: { path: output } })
  }
}

/** What a killed merge left beside the output: half a model goes, a model that was being replaced comes back. */
async function cleanLeftovers(output: string): Promise<void> {
  const parent = path.dirname(output)
  for (const name of await fs.readdir(parent).catch((): string[] => [])) {
    const match = /^\.(tmp|old)-(.+)-(\d+)$/.exec(name)
    if (match === null || match[2] !== path.basename(output) || isAlive(Number(match[3]))) continue
    const leftover = path.join(parent, name)
    if (match[1] === 'old' && (await pathKind(output)) === null) await renameSynced(leftover, output)
    else await removePath(leftover)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}

async function putInPlace(temporary: string, output: string): Promise<void> {
  const aside = path.join(path.dirname(output), `.old-${path.basename(output)}-${process.pid}`)
  const replaces = (await pathKind(output)) !== null
  if (replaces) await renameSynced(output, aside)
  try {
    await renameSynced(temporary, output)
  } catch (error) {
    if (replaces) await renameSynced(aside, output)
    throw error
  }
  if (replaces) await removePath(aside)
}

async function realPath(target: string): Promise<string> {
  return await fs.realpath(target).catch(() => path.resolve(target))
}
