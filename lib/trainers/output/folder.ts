// The rules of an output folder: one writer, no run overwritten by accident, nothing left behind by a start that failed.
import fs from 'node:fs/promises'
import path from 'node:path'
import { fail, makeError } from '../../core/errors/index.js'
import { checkWritable, errnoOf, makeFolder, pathKind, removePath, storageError } from '../../utils/fs.js'
import { CheckpointStore } from '../checkpoints/store.js'

/** Any of these is a finished run's result (or a model: training into a model's own folder would replace it). */
const finalWeights = /^(adapter_model\.safetensors|model\.safetensors|model\.safetensors\.index\.json|model-\d+-of-\d+\.safetensors)$/
/** What a run writes at the top of its folder, apart from weights, checkpoints, tokenizer files and the log it appends to. */
const runFiles = /^(adapter_config\.json|trainer_state\.json|ft_config\.yaml|README\.md)$/
/** What makes a folder of weights a model. */
const modelFiles = /^(config\.json|generation_config\.json)$/
const lockFile = '.ft-native.lock'

export interface FolderContents {
  exists: boolean
  checkpoints: number
  finalWeights: string[]
}

export async function inspectFolder(folder: string): Promise<FolderContents> {
  const exists = (await pathKind(folder)) !== null
  const checkpoints = (await new CheckpointStore(folder).list()).length
  return { exists, checkpoints, finalWeights: (await namesIn(folder)).filter((name) => finalWeights.test(name)) }
}

/** Errors: FT_OUTPUT_EXISTS when the folder holds a run that is not to be overwritten. */
export async function refuseHeldRun(folder: string, overwrite: boolean): Promise<void> {
  if (overwrite) return
  const contents = await inspectFolder(folder)
  if (contents.checkpoints === 0 && contents.finalWeights.length === 0) return
  const found = contents.checkpoints > 0 ? `${contents.checkpoints} checkpoint${contents.checkpoints === 1 ? '' : 's'}` : contents.finalWeights.join(', ')
  fail('FT_OUTPUT_EXISTS', `the output folder ${folder} already holds a run (${found})`, {
    remedy: 'continue it with --resume, replace it with --overwrite, or choose another --output',
    details: { path: folder, ...contents },
  })
}

/** Errors: FT_INVALID_CONFIG when the run would write over the model or adapter it starts from. */
export async function refuseInputFolders(folder: string, inputs: Readonly<Record<string, string | undefined>>): Promise<void> {
  const output = await realPath(folder)
  for (const [what, input] of Object.entries(inputs)) {
    if (input === undefined || (await realPath(input)) !== output) continue
    fail('FT_INVALID_CONFIG', `the output folder ${folder} is the folder of ${what}`, { remedy: 'choose another --output', details: { path: folder } })
  }
}

export interface OpenFolder {
  path: string
  store: CheckpointStore
  /** Names of the leftovers of killed saves that were removed. */
  removed: string[]
  /** Ends the lock; a folder that this run made and wrote nothing to goes away. */
  close(): Promise<void>
}

export interface FolderLock {
  release(): void
}

/**
 * Creates the folder, checks that it can be written, locks it and cleans up after killed saves.
 * Errors: FT_STORAGE (exit 5), FT_OUTPUT_LOCKED (exit 6).
 */
export async function openFolder(folder: string, lockFolder: (folder: string) => FolderLock | Promise<FolderLock>): Promise<OpenFolder> {
  const existed = (await pathKind(folder)) === 'folder'
  await makeFolder(folder)
  await checkWritable(folder)
  const lock = await lockFolder(folder)
  const store = new CheckpointStore(folder)
  const close = async (): Promise<void> => {
    lock.release()
    if (!existed) await removeIfUnused(folder)
  }
  try {
    return { path: folder, store, removed: await store.clean(), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function removeIfUnused(folder: string): Promise<void> {
  const names = await namesIn(folder)
  if (names.some((name) => name !== lockFile)) return
  await fs.rm(path.join(folder, lockFile), { force: true }).catch(() => undefined)
  await fs.rmdir(folder).catch(() => undefined)
}

/** Removes an earlier run: its checkpoints, weights and the files beside them; nothing else in the folder. */
export async function removeRun(folder: string): Promise<void> {
  const store = new CheckpointStore(folder)
  // Weights first: a half-removed run must not look like a finished one.
  const names = await namesIn(folder)
  for (const name of names.filter((entry) => finalWeights.test(entry))) await removePath(path.join(folder, name))
  for (const checkpoint of await store.list()) await store.delete(checkpoint)
  const heldModel = names.some((name) => finalWeights.test(name) && name !== 'adapter_model.safetensors')
  const doomed = names.filter((name) => runFiles.test(name) || (heldModel && modelFiles.test(name)))
  for (const name of doomed) await removePath(path.join(folder, name))
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await fs.readdir(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    if (errnoOf(error) === 'ENOTDIR') throw makeError('FT_STORAGE', `${folder} is a file, not a folder`, { remedy: 'choose another --output', details: { path: folder }, cause: error })
    throw storageError(error, 'read the folder', folder)
  }
}

async function realPath(target: string): Promise<string> {
  return await fs.realpath(target).catch(() => path.resolve(target))
}
