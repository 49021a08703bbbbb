// The rehearsal of a run: the longest batch forward, backward and step, a save, a resume from it compared byte by byte,
// and a step after that. In a temporary folder; the output folder is not touched.
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fail } from '../core/errors/index.js'
import { getLogger } from '../utils/logging.js'
import { formatBytes, formatSeconds } from '../utils/terminal.js'
import { readManifest, verifyManifest } from './checkpoints/manifest.js'
import { CheckpointStore } from './checkpoints/store.js'
import type { EndEvent, TrainingObserver } from './events.js'
import type { StepOutcome } from './engine.js'
import { prepareRun, stopIfAborted, type Cleanup, type PreparedRun, type PrepareOptions } from './prepare.js'
import { StepClock, stepEvent } from './reporter.js'
import { saveCheckpoint } from './saving.js'
import { next, type TrainingMove, type TrainingState } from './state.js'
import { endEvent, startEvent } from './summary.js'

export type DryRunOptions = Omit<PrepareOptions, 'cleanup' | 'dryRun'> & TrainingObserver

/** Errors: whatever the real run would meet; FT_NOT_FINITE; FT_CHECKPOINT when what is read back differs. */
export async function rehearse(options: DryRunOptions): Promise<EndEvent> {
  const cleanup: Cleanup = []
  let state: TrainingState = 'idle'
  const move = (by: TrainingMove): void => {
    state = next(state, by)
    options.onState?.(state)
  }
  try {
    move('prepare')
    const run = await prepareRun({ ...options, dryRun: true, cleanup })
    options.onEvent?.({ ...startEvent(run), dry_run: true })
    move('train')
    const end = await act(run, options, move, cleanup)
    move('finish')
    options.onEvent?.(end)
    return end
  } catch (error) {
    move('fail')
    throw error
  } finally {
    for (const undo of cleanup.reverse()) await undo()
  }
}

async function act(run: PreparedRun, options: DryRunOptions, move: (by: TrainingMove) => void, cleanup: Cleanup): Promise<EndEvent> {
  const clock = new StepClock()
  const seconds = await rehearseStep(run, options, clock)
  stopIfAborted(run.signal)
  move('save')
  const temporary = await fs.mkdtemp(path.join(os.tmpdir(), 'ft-native-dry-run-'))
  cleanup.push(() => fs.rm(temporary, { recursive: true, force: true }))
  const bytes = await rehearseSave(run, temporary)
  move('saved')
  const again = await rehearseStep(run, options, clock)
  const estimate = run.plan.maxSteps * run.config.training.gradientAccumulationSteps * Math.min(seconds, again)
  const end = await endEvent(run, clock, 'finished', null)
  await report(run, end, { bytes, estimate })
  return { ...end, dry_run: true, estimated_seconds: estimate }
}

/** One optimizer step on the longest micro-batch at the full learning rate, so that the weights do change. */
async function rehearseStep(run: PreparedRun, options: DryRunOptions, clock: StepClock): Promise<number> {
  const { learningRate, maxGradNorm, seed } = run.config.training
  const { progress } = run
  const batch = run.batches.longest()
  const settings = { learningRate, maxGradNorm, seed, step: progress.globalStep, gradientCheckpointing: run.memory.checkpointedLayers }
  const outcome: StepOutcome = await run.recipe.objective.step(run.model, run.optimizer, [batch], settings)
  const seconds = clock.step()
  progress.globalStep += 1
  progress.tokens += outcome.tokens
  progress.supervisedTokens += outcome.supervisedTokens
  progress.trainSeconds += seconds
  options.onEvent?.(stepEvent({ outcome, learningRate, seconds, step: progress.globalStep, plan: run.plan, progress, clock, fp16: run.source.dtype === 'fp16' }))
  if (!outcome.applied && outcome.skipped !== 'loss_scale_overflow') {
    fail('FT_NOT_FINITE', `the longest batch has a loss or gradient that is not finite (loss ${outcome.loss}, gradient norm ${outcome.gradNorm})`, {
      remedy: 'lower --learning-rate, use --dtype bf16 or fp32, and look at the longest rows',
    })
  }
  progress.lossSum += outcome.loss
  progress.lossSteps += 1
  return seconds
}

/** Saves, resumes, saves again: the two must be equal byte by byte. Returns the size of a checkpoint. */
async function rehearseSave(run: PreparedRun, temporary: string): Promise<number> {
  const [first, second] = [new CheckpointStore(path.join(temporary, 'a')), new CheckpointStore(path.join(temporary, 'b'))]
  const saved = await saveCheckpoint(run, first)
  const verdict = await verifyManifest(saved.path)
  if (!verdict.usable) fail('FT_CHECKPOINT', `a checkpoint cannot be read back: ${verdict.reason}`, { remedy: 'check the disk of the temporary folder', details: { path: saved.path } })
  await run.weights.load(saved.path)
  await run.optimizer.load(path.join(saved.path, 'optimizer.safetensors'))
  const again = await readManifest((await saveCheckpoint(run, second)).path)
  const differing = Object.entries(verdict.manifest.files).filter(([name, file]) => !again.usable || again.manifest.files[name]?.sha256 !== file.sha256)
  if (differing.length > 0) {
    fail('FT_CHECKPOINT', `a resumed run would not be the one that was saved: ${differing.map(([name]) => name).join(', ')} differ`, {
      remedy: 'this is a defect: report it with the model and the configuration',
      details: { files: differing.map(([name]) => name) },
    })
  }
  return saved.bytes
}

async function report(run: PreparedRun, end: EndEvent, facts: { bytes: number; estimate: number }): Promise<void> {
  const log = getLogger()
  log.info(`dry run: the longest batch trains (${end.tokens / 2} tokens), a checkpoint saves and resumes byte for byte`)
  log.info(`dry run: peak memory ${formatBytes(end.peak_rss_bytes)}, estimated before ${formatBytes(run.memory.estimate.totalBytes)}; the whole run of ${run.plan.maxSteps} steps takes at most about ${formatSeconds(facts.estimate)}`)
  const needed = facts.bytes * (run.config.training.saveTotalLimit + 2)
  const free = await freeBytes(run.output)
  const text = `dry run: a checkpoint takes ${formatBytes(facts.bytes)}, the run up to ${formatBytes(needed)}${free === null ? '' : `; ${formatBytes(free)} are free there`}`
  if (free !== null && needed > free) log.warn(text)
  else log.info(text)
}

/** Free space where the folder is or would be. */
async function freeBytes(folder: string): Promise<number | null> {
  for (let current = folder; ; current = path.dirname(current)) {
    const stats = await fs.statfs(current).catch(() => null)
    if (stats !== null) return stats.bavail * stats.bsize
    if (current === path.dirname(current)) return null
  }
}
