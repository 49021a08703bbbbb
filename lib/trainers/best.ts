// The best checkpoint: the one after the evaluation with the lowest loss. It survives save_total_limit, and with
// load_best_model_at_end its weights are the result of the run, as in transformers.
import path from 'node:path'
import { fail } from '../core/errors/index.js'
import { copyFileSynced, pathKind } from '../utils/fs.js'
import { getLogger } from '../utils/logging.js'
import { verifyManifest } from './checkpoints/manifest.js'
import { checkpointFolderName, type CheckpointStore } from './checkpoints/store.js'
import type { PreparedRun } from './prepare.js'
import type { ResumePoint } from './resume.js'

type BestOf = Pick<PreparedRun, 'progress' | 'config'>

/** Path of the best checkpoint as trainer_state.json names it; `saving`: the step that is being committed. */
export async function bestCheckpoint({ progress, config }: BestOf, store: CheckpointStore | null, saving?: number): Promise<string | null> {
  const step = progress.bestGlobalStep
  if (step === null || store === null) return null
  const there = step === saving || (await pathKind(path.join(store.folder, checkpointFolderName(step)))) === 'folder'
  return there ? path.resolve(config.training.outputDir, checkpointFolderName(step)) : null
}

/** Errors: FT_INCOMPATIBLE_CONFIG when nothing says which checkpoint is best. */
export function refuseWithoutValidation(wanted: boolean, validationRows: number): void {
  if (!wanted || validationRows > 0) return
  fail('FT_INCOMPATIBLE_CONFIG', 'training.load_best_model_at_end needs an evaluation loss, but no rows are held out', {
    remedy: 'set --validation-ratio (fewer than 20 rows hold none out by themselves) or --validation-path, or leave --load-best-model-at-end out',
  })
}

/**
 * A resumed run may end with a checkpoint that was written before it: that one must be whole, and in the run's folder.
 * Errors: FT_CHECKPOINT.
 */
export async function secureBest({ checkpoint, state }: ResumePoint, store: CheckpointStore): Promise<void> {
  const step = state.progress.bestGlobalStep
  if (step === null) return
  const from = path.dirname(checkpoint.path)
  const folder = step === checkpoint.step ? checkpoint.path : path.join(from, checkpointFolderName(step))
  const { files } = await wholeCheckpoint(folder)
  if (from === store.folder) return
  await store.commit(step, async (target) => {
    for (const name of Object.keys(files)) await copyFileSynced(path.join(folder, name), path.join(target, name))
  })
  getLogger().info(`copied the best checkpoint so far from ${folder}`)
}

/** Gives the run the weights of its best checkpoint. Errors: FT_CHECKPOINT when it is damaged, FT_NOT_FINITE when there is none. */
export async function loadBest(run: PreparedRun, store: CheckpointStore): Promise<void> {
  const { bestGlobalStep: step, bestMetric, globalStep } = run.progress
  if (step === null || bestMetric === null) {
    return fail('FT_NOT_FINITE', 'no evaluation had a finite loss: there is no best checkpoint to end with', {
      remedy: `lower --learning-rate and look at the validation rows; the checkpoints are in ${store.folder}`,
      details: { path: store.folder },
    })
  }
  const folder = path.join(store.folder, checkpointFolderName(step))
  if (step !== globalStep) {
    await wholeCheckpoint(folder)
    await run.weights.load(folder)
  }
  getLogger().info(`the result is ${checkpointFolderName(step)}, with the best evaluation loss: ${bestMetric.toFixed(4)}`)
}

async function wholeCheckpoint(folder: string) {
  const verdict = await verifyManifest(folder)
  if (verdict.usable) return verdict.manifest
  return fail('FT_CHECKPOINT', `training.load_best_model_at_end cannot end with the best checkpoint, ${folder}: ${verdict.reason}`, {
    remedy: 'restore it from a copy, or resume with --no-load-best-model-at-end',
    details: { path: folder, reason: verdict.reason },
  })
}
