// The folder work around writing a whole model: nothing under the output's name until the new one is whole; an earlier
// model goes only when the new one is there.
import fs from 'node:fs/promises'
import path from 'node:path'
import { fail } from '../core/errors/index.js'
import { fsyncFolder, makeFolder, pathKind, removePath, renameSynced } from '../utils/fs.js'
import { isOwnerAlive } from '../utils/owner.js'

export interface ModelOutput {
  output: string
  overwrite: boolean
  /** Folders that are read: none may be the output or inside of it. */
  inputs: readonly string[]
}

/** Runs `write` on a temporary folder beside the output and renames it. Errors: FT_OUTPUT_EXISTS; those of `write`. */
export async function writeModelFolder<T>(request: ModelOutput, write: (temporary: string) => Promise<T>): Promise<T> {
  const output = path.resolve(request.output)
  await cleanLeftovers(output)
  await refuseInputs(output, request.inputs)
  await checkOutput(output, request.overwrite)
  const temporary = path.join(path.dirname(output), `.tmp-${path.basename(output)}-${process.pid}`)
  try {
    await removePath(temporary)
    await makeFolder(path.dirname(output))
    const result = await write(temporary)
    await fsyncFolder(temporary)
    await putInPlace(temporary, output)
    return result
  } finally {
    await removePath(temporary)
  }
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

/** Replacing what is read, or a folder around it, would lose it. */
async function refuseInputs(output: string, inputs: readonly string[]): Promise<void> {
  const target = await realPath(output)
  for (const input of inputs) {
    const source = await realPath(input)
    const inside = path.relative(target, source)
    if (inside !== '' && (inside.startsWith('..') || path.isAbsolute(inside))) continue
    fail('FT_OUTPUT_EXISTS', `the output folder ${output} is or holds ${input}, which is read`, { remedy: 'choose another --output', details: { path: output } })
  }
}

/** What a killed process left beside the output: half a model goes, a model that was being replaced comes back. */
async function cleanLeftovers(output: string): Promise<void> {
  const parent = path.dirname(output)
  for (const name of await fs.readdir(parent).catch((): string[] => [])) {
    const match = /^\.(tmp|old)-(.+)-(\d+)$/.exec(name)
    if (match === null || match[2] !== path.basename(output)) continue
    const leftover = path.join(parent, name)
    const info = await fs.stat(leftover).catch(() => null)
    if (info === null || isOwnerAlive(Number(match[3]), info.mtimeMs)) continue
    if (match[1] === 'old' && (await pathKind(output)) === null) await renameSynced(leftover, output)
    else await removePath(leftover)
  }
}

async function putInPlace(temporary: string, output: string): Promise<void> {
  const aside = path.join(path.dirname(output), `.old-${path.basename(output)}-${process.pid}`)
  const replaces = (await pathKind(output)) !== null
  if (replaces) {
    // Its time tells whether the process that has put it aside is still there.
    const now = new Date()
    await fs.utimes(output, now, now).catch(() => undefined)
    await renameSynced(output, aside)
  }
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
