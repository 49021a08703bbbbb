// The two JSON files of a checkpoint: trainer_state.json with transformers' field names, for people and tools, and
// ft_state.json, which is all that a resumed run needs besides weights and optimizer.
import fs from 'node:fs/promises'
import path from 'node:path'
import type { z } from 'zod'
import { makeError } from '../../core/errors/index.js'
import { lazily, zod } from '../../core/zod.js'
import { writeFileSynced } from '../../utils/fs.js'
import type { RunProgress } from '../progress.js'
import { cursorAt, epochAt, type Cadence, type RunPlan } from '../run-plan.js'
import type { RunInputs } from './inputs.js'

export const trainerStateFile = 'trainer_state.json'
export const resumeStateFile = 'ft_state.json'

const resumeStateSchema = lazily((z) => {
  const count = z.number().int().nonnegative()
  const inputValue = z.union([z.string(), z.number(), z.boolean(), z.null()])
  return z.strictObject({
    format: z.literal('ft-native-state'),
    version: z.literal(1),
    ft_native_version: z.string(),
    /** The next step's place in the data. */
    cursor: z.strictObject({ epoch: count, stepInEpoch: count }),
    plan: z.strictObject({ stepsPerEpoch: count.min(1), maxSteps: count, numEpochs: count }),
    /** All randomness is a function of these (Philox, counter-based): there is no other generator state. */
    random: z.strictObject({ generator: z.literal('philox'), seed: count, step: count }),
    /** true: every layer; a number: so many of the first. */
    gradientCheckpointing: z.union([z.boolean(), count]),
    /** Rows of a micro-batch, where memory made it smaller than configured. */
    microBatchRows: count.min(1).optional(),
    /** ISO date that the chat template wrote into the rows; null: none. */
    templateDate: z.string().nullable(),
    /** What the run's numbers depend on. */
    inputs: z.record(z.string(), inputValue),
    /** What they may depend on in the last bits: reported when it changes. */
    environment: z.record(z.string(), inputValue),
    progress: z.strictObject({
      globalStep: count,
      lossSum: z.number(),
      lossSteps: count,
      windowLossSum: z.number(),
      windowLossSteps: count,
      tokens: count,
      supervisedTokens: count,
      totalFlos: z.number(),
      trainSeconds: z.number(),
      skippedSteps: count,
      overflowStreak: count,
      lastEvalStep: z.number().int().min(-1),
      lastEvalLoss: z.number().nullable(),
      firstEvalLoss: z.number().nullable(),
      bestMetric: z.number().nullable(),
      bestGlobalStep: count.nullable(),
      logHistory: z.array(z.record(z.string(), z.number().nullable())),
    }),
  })
})

export type ResumeState = z.infer<ReturnType<typeof resumeStateSchema>>

export interface StateParts {
  version: string
  seed: number
  plan: RunPlan
  cadence: Cadence
  batchSize: number
  gradientCheckpointing: number
  microBatchRows?: number
  templateDate: string | null
  inputs: RunInputs
  environment: RunInputs
  progress: RunProgress
  bestModelCheckpoint: string | null
}

export async function writeStateFiles(folder: string, parts: StateParts): Promise<void> {
  const state: ResumeState = {
    format: 'ft-native-state',
    version: 1,
    ft_native_version: parts.version,
    cursor: cursorAt(parts.progress.globalStep, parts.plan),
    plan: parts.plan,
    random: { generator: 'philox', seed: parts.seed, step: parts.progress.globalStep },
    gradientCheckpointing: parts.gradientCheckpointing,
    ...(parts.microBatchRows === undefined ? {} : { microBatchRows: parts.microBatchRows }),
    templateDate: parts.templateDate,
    inputs: parts.inputs,
    environment: parts.environment,
    progress: parts.progress,
  }
  await writeFileSynced(path.join(folder, resumeStateFile), `${JSON.stringify(state, null, 2)}\n`)
  await writeFileSynced(path.join(folder, trainerStateFile), trainerStateText(parts))
}

/** Errors: FT_CHECKPOINT when the file is absent or not what this version writes. */
export async function readResumeState(folder: string): Promise<ResumeState> {
  const file = path.join(folder, resumeStateFile)
  try {
    return resumeStateSchema().parse(JSON.parse(await fs.readFile(file, 'utf8')))
  } catch (error) {
    throw makeError('FT_CHECKPOINT', `${file} cannot be read as the state of a run: ${firstProblem(error)}`, {
      remedy: 'resume from another checkpoint with --resume <folder>, or start again with --overwrite',
      details: { path: file },
      cause: error,
    })
  }
}

function firstProblem(error: unknown): string {
  if (error instanceof zod().ZodError) {
    const [issue] = error.issues
    return issue ? `${issue.path.join('.')}: ${issue.message}` : 'it has another shape'
  }
  return error instanceof Error ? error.message : String(error)
}

/** As transformers' TrainerState.save_to_json. */
export function trainerStateText(parts: Omit<StateParts, 'inputs' | 'environment' | 'version' | 'seed' | 'templateDate'>): string {
  const { plan, cadence, progress } = parts
  const state = {
    best_global_step: progress.bestGlobalStep,
    best_metric: progress.bestMetric,
    best_model_checkpoint: parts.bestModelCheckpoint,
    epoch: epochAt(progress.globalStep, plan),
    eval_steps: cadence.evalSteps ?? plan.stepsPerEpoch,
    global_step: progress.globalStep,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: progress.logHistory,
    logging_steps: cadence.loggingSteps,
    max_steps: plan.maxSteps,
    num_input_tokens_seen: progress.tokens,
    num_train_epochs: plan.numEpochs,
    save_steps: cadence.saveSteps ?? plan.stepsPerEpoch,
    stateful_callbacks: {},
    total_flos: progress.totalFlos,
    train_batch_size: parts.batchSize,
    trial_name: null,
    trial_params: null,
  }
  return `${JSON.stringify(state, null, 2)}\n`
}
