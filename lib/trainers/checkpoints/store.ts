// Checkpoint folders of one output folder. A checkpoint is written beside its place, flushed, given a manifest and
// renamed: `checkpoint-<step>` is there as a whole or not at all, whatever happens to the process or the power.
// The caller holds the lock of the output folder.
import fs from 'node:fs/promises'
import path from 'node:path'
import { errnoOf, fsyncFolder, makeFolder, pathKind, removePath, renameSynced, storageError } from '../../utils/fs.js'
import { readManifest, verifyManifest, writeManifest, type Manifest } from './manifest.js'

export interface Checkpoint {
  step: number
  path: string
}

export interface DamagedCheckpoint extends Checkpoint {
  reason: string
}

const checkpointName = /^checkpoint-(\d{1,15})$/
/** A save that did not end. */
const unfinishedName = /^\.tmp-(checkpoint-\d+|final)-\d+$/
/** A checkpoint that was about to be replaced by one of the same step. */
const replacedName = /^\.old-(checkpoint-\d+)-\d+$/
/** A checkpoint that was about to be deleted. */
const deletedName = /^\.del-checkpoint-\d+-\d+$/

export function checkpointFolderName(step: number): string {
  return `checkpoint-${step}`
}

export class CheckpointStore {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  /** Committed checkpoints, oldest first: those with a manifest, damaged or not. */
  async list(): Promise<Checkpoint[]> {
    const found: Checkpoint[] = []
    for (const { name, directory } of await this.#entries()) {
      const step = checkpointName.exec(name)?.[1]
      if (step === undefined || !directory) continue
      const folder = path.join(this.folder, name)
      if ((await pathKind(path.join(folder, 'manifest.json'))) === 'file') found.push({ step: Number(step), path: folder })
    }
    return found.sort((a, b) => a.step - b.step)
  }

  /** The newest checkpoint whose every byte matches, and the newer ones that do not. */
  async newestUsable(): Promise<{ checkpoint: Checkpoint | null; damaged: DamagedCheckpoint[] }> {
    const damaged: DamagedCheckpoint[] = []
    for (const checkpoint of (await this.list()).reverse()) {
      const verdict = await verifyManifest(checkpoint.path)
      if (verdict.usable) return { checkpoint, damaged }
      damaged.push({ ...checkpoint, reason: verdict.reason })
    }
    return { checkpoint: null, damaged }
  }

  /** Removes what a killed process left behind, and puts back a checkpoint that was between two names. */
  async clean(): Promise<string[]> {
    const removed: string[] = []
    for (const { name } of await this.#entries()) {
      const target = path.join(this.folder, name)
      const original = replacedName.exec(name)?.[1]
      if (original !== undefined && (await pathKind(path.join(this.folder, original))) === null) {
        await renameSynced(target, path.join(this.folder, original))
      } else if (original !== undefined || unfinishedName.test(name) || deletedName.test(name)) {
        await removePath(target)
        removed.push(name)
      }
    }
    return removed
  }

  /**
   * Writes `checkpoint-<step>`: `write` fills the folder it is given. Either the whole checkpoint is there when this
   * returns, or it throws, nothing is left of it and an earlier one of the same step is untouched.
   */
  async commit(step: number, write: (folder: string) => Promise<void>): Promise<{ path: string; manifest: Manifest }> {
    const name = checkpointFolderName(step)
    const temporary = path.join(this.folder, `.tmp-${name}-${process.pid}`)
    const target = path.join(this.folder, name)
    try {
      await removePath(temporary)
      await makeFolder(temporary)
      await write(temporary)
      const manifest = await writeManifest(temporary, step)
      await fsyncFolder(temporary)
      await this.#swap(temporary, target)
      return { path: target, manifest }
    } catch (error) {
      await fs.rm(temporary, { recursive: true, force: true }).catch(() => undefined)
      throw storageError(error, 'save the checkpoint', target)
    }
  }

  async #swap(temporary: string, target: string): Promise<void> {
    const aside = path.join(this.folder, `.old-${path.basename(target)}-${process.pid}`)
    const replaces = (await pathKind(target)) !== null
    if (replaces) {
      await removePath(aside)
      await renameSynced(target, aside)
    }
    try {
      await renameSynced(temporary, target)
    } catch (error) {
      if (replaces && (await pathKind(target)) === null) await fs.rename(aside, target).catch(() => undefined)
      throw error
    }
    if (replaces) await removePath(aside)
  }

  /** Deletes one checkpoint; a kill in the middle leaves no half of it under its name. */
  async delete(checkpoint: Checkpoint): Promise<void> {
    const doomed = path.join(this.folder, `.del-${path.basename(checkpoint.path)}-${process.pid}`)
    await removePath(doomed)
    await renameSynced(checkpoint.path, doomed)
    await removePath(doomed)
  }

  /** Deletes the oldest until at most `limit` are left (0: no limit), never the newest and never one of `keep`. */
  async rotate(limit: number, keep: ReadonlySet<number>): Promise<Checkpoint[]> {
    if (limit <= 0) return []
    const all = await this.list()
    const newest = all.at(-1)?.step
    const deleted: Checkpoint[] = []
    for (const checkpoint of all) {
      if (all.length - deleted.length <= limit) break
      if (checkpoint.step === newest || keep.has(checkpoint.step)) continue
      await this.delete(checkpoint)
      deleted.push(checkpoint)
    }
    return deleted
  }

  async #entries(): Promise<{ name: string; directory: boolean }[]> {
    try {
      const entries = await fs.readdir(this.folder, { withFileTypes: true })
      return entries.map((entry) => ({ name: entry.name, directory: entry.isDirectory() }))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return []
      throw storageError(error, 'read the folder', this.folder)
    }
  }
}

/** Step of a checkpoint folder by its manifest, or null where it has none that can be read. */
export async function stepOfCheckpoint(folder: string): Promise<number | null> {
  const read = await readManifest(folder)
  return read.usable ? read.manifest.step : null
}
