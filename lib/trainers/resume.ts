// Where a resumed run goes on: the newest checkpoint whose every byte matches its manifest, or the one that was named.
import path from 'node:path'
import type { ResolvedConfig } from '../core/config/index.js'
import { fail, makeError } from '../core/errors/index.js'
import { pathKind } from '../utils/fs.js'
import { getLogger } from '../utils/logging.js'
import { compareInputs, mismatchError, type InputDifference, type RunInputs } from './checkpoints/inputs.js'
import { manifestFile, verifyManifest } from './checkpoints/manifest.js'
import { readResumeState, type ResumeState } from './checkpoints/state-files.js'
import { CheckpointStore, stepOfCheckpoint, type Checkpoint, type DamagedCheckpoint } from './checkpoints/store.js'
import { inspectFolder } from './output/folder.js'
import { impliedInputs } from './run-inputs.js'
import type { RunPlan } from './run-plan.js'

export interface ResumePoint {
  checkpoint: Checkpoint
  state: ResumeState
}

/**
 * null: start at step 0, because nothing was ever saved. `resume`: true, or a run's folder or one of its checkpoints.
 * Errors: FT_CHECKPOINT when there are checkpoints and none can be used; FT_INVALID_CONFIG for a folder that is not there.
 */
export async function findResumePoint(resume: boolean | string, output: string): Promise<ResumePoint | null> {
  if (resume === false) return null
  const checkpoint = resume === true ? await newestIn(output, true) : await named(path.resolve(resume), output)
  return checkpoint === null ? null : { checkpoint, state: await readResumeState(checkpoint.path) }
}

async function named(folder: string, output: string): Promise<Checkpoint | null> {
  if ((await pathKind(folder)) !== 'folder') {
    fail('FT_INVALID_CONFIG', `--resume ${folder}: there is no such folder`, { remedy: 'name a run folder or one of its checkpoint-<step> folders' })
  }
  const single = (await pathKind(path.join(folder, manifestFile))) === 'file' || /^checkpoint-\d+$/.test(path.basename(folder))
  if (!single) return newestIn(folder, folder === output)
  const verdict = await verifyManifest(folder)
  if (!verdict.usable) {
    fail('FT_CHECKPOINT', `the checkpoint ${folder} is damaged: ${verdict.reason}`, {
      remedy: 'use --resume without a folder: it takes the newest checkpoint that is whole',
      details: { path: folder, reason: verdict.reason },
    })
  }
  return { step: (await stepOfCheckpoint(folder)) ?? 0, path: folder }
}

async function newestIn(folder: string, mayStart: boolean): Promise<Checkpoint | null> {
  const { checkpoint, damaged } = await new CheckpointStore(folder).newestUsable()
  if (checkpoint !== null) {
    for (const bad of damaged) {
      getLogger().warn(`the checkpoint ${bad.path} is damaged (${bad.reason}); going on from ${checkpoint.path}`, { damaged: bad.path, used: checkpoint.path })
    }
    return checkpoint
  }
  if (damaged.length > 0) throw allDamaged(folder, damaged)
  const { finalWeights } = await inspectFolder(folder)
  if (finalWeights.length > 0 || !mayStart) {
    fail('FT_CHECKPOINT', `${folder} has no checkpoint to go on from${finalWeights.length > 0 ? ', only final weights' : ''}`, {
      remedy: 'name a folder with checkpoint-<step> folders, start again with --overwrite, or start from an adapter with --adapter',
      details: { path: folder },
    })
  }
  getLogger().warn(`nothing was saved in ${folder} yet: starting at step 0`)
  return null
}

function allDamaged(folder: string, damaged: DamagedCheckpoint[]): Error {
  const list = damaged.map((bad) => `  ${bad.path}: ${bad.reason}`).join('\n')
  return makeError('FT_CHECKPOINT', `no checkpoint of ${folder} can be used\n${list}`, {
    remedy: 'restore one from a copy, or start again with --overwrite',
    details: { path: folder, damaged: damaged.map(({ path: bad, reason }) => ({ path: bad, reason })) },
  })
}

export interface ResumeCheck {
  point: ResumePoint
  inputs: RunInputs
  environment: RunInputs
  plan: RunPlan
  force: boolean
}

/** Compares what the checkpoint's run was given with now. Errors: FT_RESUME_MISMATCH unless `force`. */
export function checkResume({ point, inputs, environment, plan, force }: ResumeCheck): void {
  const { state, checkpoint } = point
  const differences: InputDifference[] = compareInputs(state.inputs, inputs, impliedInputs)
  if (plan.maxSteps < state.plan.maxSteps) differences.push({ key: 'steps of the whole run', checkpoint: state.plan.maxSteps, now: plan.maxSteps })
  if (differences.length > 0) {
    const mismatch = mismatchError(checkpoint.path, differences)
    if (!force) throw mismatch
    getLogger().warn(`--force: ${mismatch.message}`)
  }
  const shifted = compareInputs(state.environment, environment)
  if (shifted.length > 0) {
    const list = shifted.map(({ key, checkpoint: before, now }) => `${key} ${String(before)} → ${String(now)}`).join(', ')
    getLogger().warn(`the run goes on in another environment (${list}): the last bits of its numbers may differ from an uninterrupted run`)
  }
}

/** Checkpoints of the output folder that lie after the one that was named: another line of the run. */
export async function laterCheckpoints(point: ResumePoint | null, config: ResolvedConfig, output: string): Promise<Checkpoint[]> {
  if (point === null || typeof config.training.resume !== 'string' || path.dirname(point.checkpoint.path) !== output) return []
  const later = (await new CheckpointStore(output).list()).filter(({ step }) => step > point.checkpoint.step)
  if (later.length > 0 && !config.training.force && path.resolve(config.training.resume) !== output) {
    fail('FT_OUTPUT_EXISTS', `${output} has checkpoints after ${point.checkpoint.path}: ${later.map((checkpoint) => path.basename(checkpoint.path)).join(', ')}`, {
      remedy: '--force deletes them and goes on from the one you named; another --output keeps both',
      details: { path: output, later: later.map((checkpoint) => checkpoint.path) },
    })
  }
  return path.resolve(config.training.resume) === output ? [] : later
}
