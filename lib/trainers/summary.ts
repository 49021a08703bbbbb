// The first and the last event of a run, and the closing entry of its log.
import { bestCheckpoint } from './best.js'
import type { EndEvent, StartEvent } from './events.js'
import type { PreparedRun } from './prepare.js'
import { trainLossOf } from './progress.js'
import { peakRssBytes, type StepClock } from './reporter.js'
import { epochAt } from './run-plan.js'

export function startEvent(run: PreparedRun): StartEvent {
  const { training } = run.config
  return {
    event: 'start',
    method: run.recipe.name,
    model: run.source.name,
    model_type: run.model.info.modelType,
    output: run.output,
    device: run.source.device,
    dtype: run.source.dtype,
    parameters: run.model.info.numParameters,
    trainable_parameters: run.optimizer.numTrainableParameters,
    train_rows: run.data.train.length,
    validation_rows: run.data.validation.length,
    steps_per_epoch: run.plan.stepsPerEpoch,
    max_steps: run.plan.maxSteps,
    num_train_epochs: run.plan.numEpochs,
    ...microBatches(run),
    gradient_checkpointing: run.memory.checkpointedLayers > 0,
    checkpointed_layers: run.memory.checkpointedLayers,
    estimated_bytes: run.memory.estimate.totalBytes,
    seed: training.seed,
    step: run.progress.globalStep,
    resumed_from: run.resumed?.checkpoint.path ?? null,
  }
}

/** As they are: auto_batch may have divided them. */
export function microBatches({ batches, config: { training } }: Pick<PreparedRun, 'batches' | 'config'>): { batch_size: number; gradient_accumulation_steps: number } {
  const { batchSize, gradientAccumulationSteps } = training
  return { batch_size: batches.batchSize, gradient_accumulation_steps: gradientAccumulationSteps * Math.ceil(batchSize / batches.batchSize) }
}

export async function endEvent(run: PreparedRun, clock: StepClock, status: EndEvent['status'], checkpoint: string | null): Promise<EndEvent> {
  const { progress } = run
  return {
    event: 'end',
    status,
    steps: progress.globalStep,
    epoch: epochAt(progress.globalStep, run.plan),
    train_loss: trainLossOf(progress),
    ...(progress.firstEvalLoss === null ? {} : { eval_loss_first: progress.firstEvalLoss }),
    ...(progress.lastEvalLoss === null ? {} : { eval_loss: progress.lastEvalLoss }),
    ...(progress.bestMetric === null ? {} : { best_metric: progress.bestMetric, best_model_checkpoint: await bestCheckpoint(run, run.folder?.store ?? null) }),
    tokens: progress.tokens,
    supervised_tokens: progress.supervisedTokens,
    skipped_steps: progress.skippedSteps,
    train_seconds: progress.trainSeconds,
    tokens_per_second: progress.trainSeconds > 0 ? progress.tokens / progress.trainSeconds : 0,
    first_step_seconds: clock.firstStepSeconds,
    peak_rss_bytes: peakRssBytes(),
    output: run.output,
    checkpoint,
  }
}

/** The run with the closing entry that transformers writes to log_history. */
export function withSummary(run: PreparedRun): PreparedRun {
  const { progress, plan } = run
  const seconds = Math.max(progress.trainSeconds, Number.EPSILON)
  const rows = run.data.train.length * epochAt(progress.globalStep, plan)
  const entry = {
    epoch: epochAt(progress.globalStep, plan),
    step: progress.globalStep,
    total_flos: progress.totalFlos,
    train_loss: trainLossOf(progress),
    train_runtime: progress.trainSeconds,
    train_samples_per_second: rows / seconds,
    train_steps_per_second: progress.globalStep / seconds,
  }
  return { ...run, progress: { ...progress, logHistory: [...progress.logHistory, entry] } }
}
