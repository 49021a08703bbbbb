// What a run writes: checkpoints, and at the end the weights and the papers beside them. Both appear as a whole.
import fs from 'node:fs/promises'
import path from 'node:path'
import { configToYaml } from '../core/config/index.js'
import { copyFileSynced, fsyncFile, fsyncFolder, makeFolder, pathKind, removePath, renameSynced, storageError, writeFileAtomic, writeFileSynced } from '../utils/fs.js'
import { bestCheckpoint, loadBest } from './best.js'
import { trainerStateFile, trainerStateText, writeStateFiles } from './checkpoints/state-files.js'
import { checkpointFolderName, type CheckpointStore } from './checkpoints/store.js'
import { modelCard } from './output/model-card.js'
import type { PreparedRun } from './prepare.js'
import { packageVersion } from './version.js'

export interface SavedCheckpoint {
  path: string
  bytes: number
  seconds: number
}

/** Commits the state after the last step and lets the oldest checkpoints go. Errors: FT_STORAGE; older ones are untouched. */
export async function saveCheckpoint(run: PreparedRun, store: CheckpointStore): Promise<SavedCheckpoint> {
  const start = performance.now()
  const { progress } = run
  const best = await bestCheckpoint(run, store, progress.globalStep)
  const { path: folder, manifest } = await store.commit(progress.globalStep, async (target) => {
    await run.weights.save(target)
    await run.optimizer.save(path.join(target, 'optimizer.safetensors'))
    await writeStateFiles(target, {
      ...stateParts(run, best),
      version: packageVersion(),
      seed: run.config.training.seed,
      templateDate: run.data.templateDate,
      inputs: run.inputs,
      environment: run.environment,
    })
    await writePapers(run, target, path.join(run.output, checkpointFolderName(progress.globalStep), 'ft_config.yaml'))
  })
  await store.rotate(run.config.training.saveTotalLimit, new Set(progress.bestGlobalStep === null ? [progress.globalStep] : [progress.globalStep, progress.bestGlobalStep]))
  const bytes = Object.values(manifest.files).reduce((sum, file) => sum + file.size, 0)
  return { path: folder, bytes, seconds: (performance.now() - start) / 1000 }
}

function stateParts(run: PreparedRun, bestModelCheckpoint: string | null) {
  const { plan, cadence, progress, memory, batches } = run
  const { batchSize } = run.config.training
  const divided = batches.batchSize < batchSize ? { microBatchRows: batches.batchSize } : {}
  return { plan, cadence, progress, gradientCheckpointing: memory.checkpointedLayers, ...divided, bestModelCheckpoint, batchSize }
}

/** Model card, configuration and tokenizer files. */
async function writePapers(run: PreparedRun, folder: string, configFile: string): Promise<void> {
  await writeFileSynced(path.join(folder, 'README.md'), modelCard(run))
  await writeFileSynced(path.join(folder, 'ft_config.yaml'), configToYaml(run.config, { file: configFile, absolutePaths: true }))
  for (const file of run.tokenizer.files) {
    const target = path.join(folder, path.basename(file))
    if ((await pathKind(target)) === null) await copyFileSynced(file, target)
  }
}

/** The resolved configuration, from the first step on: `train --resume <folder>` needs nothing else. */
export async function writeConfig(run: PreparedRun): Promise<void> {
  const file = path.join(run.output, 'ft_config.yaml')
  await writeFileAtomic(file, configToYaml(run.config, { file, absolutePaths: true }))
}

/** Files that make a folder loadable: renamed last, so that a kill leaves no mixture that loads. */
const markers = new Set(['config.json', 'adapter_config.json'])

/**
 * Writes the final weights and papers to the top of the output folder. They are made in a temporary folder and renamed
 * one by one, weights before the configuration that makes them loadable. With load_best_model_at_end they are those of
 * the best checkpoint.
 */
export async function writeFinal(run: PreparedRun): Promise<void> {
  const store = run.folder?.store ?? null
  if (run.config.training.loadBestModelAtEnd && store !== null) await loadBest(run, store)
  const temporary = path.join(run.output, `.tmp-final-${process.pid}`)
  try {
    await removePath(temporary)
    await makeFolder(temporary)
    await run.weights.save(temporary)
    await writePapers(run, temporary, path.join(run.output, 'ft_config.yaml'))
    const best = await bestCheckpoint(run, store)
    await writeFileSynced(path.join(temporary, trainerStateFile), trainerStateText(stateParts(run, best)))
    await publish(temporary, run.output)
  } catch (error) {
    await fs.rm(temporary, { recursive: true, force: true }).catch(() => undefined)
    throw storageError(error, 'write the result to', run.output)
  }
}

async function publish(temporary: string, output: string): Promise<void> {
  const names = await fs.readdir(temporary)
  for (const name of names) await fsyncFile(path.join(temporary, name))
  // The weights of a whole model are several files: while they change, the folder must not load.
  if (names.includes('config.json')) {
    await removePath(path.join(output, 'config.json'))
    await fsyncFolder(output)
  }
  for (const last of [false, true]) {
    for (const name of names.filter((entry) => markers.has(entry) === last)) await renameSynced(path.join(temporary, name), path.join(output, name))
  }
  await removePath(temporary)
  await fsyncFolder(output)
}
