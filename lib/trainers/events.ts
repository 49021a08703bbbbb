// What a run tells while it runs: plain objects with snake_case keys, printed as they are by `train --json`.
import type { TrainingState } from './state.js'

export interface StartEvent {
  event: 'start'
  method: string
  model: string
  model_type: string
  output: string
  device: string
  dtype: string
  parameters: number
  trainable_parameters: number
  train_rows: number
  validation_rows: number
  steps_per_epoch: number
  max_steps: number
  num_train_epochs: number
  batch_size: number
  gradient_accumulation_steps: number
  gradient_checkpointing: boolean
  /** So many of the first layers are computed again in backward. */
  checkpointed_layers: number
  /** Peak resident size of the process, estimated before anything was loaded. */
  estimated_bytes: number
  seed: number
  /** Steps that a resumed run has behind it; else 0. */
  step: number
  resumed_from: string | null
  dry_run?: true
}

export interface StepEvent {
  event: 'step'
  step: number
  /** Epochs done after this step, as a fraction. */
  epoch: number
  /** Mean over the supervised tokens of the step; null where it is not a finite number. */
  loss: number | null
  /** The rate this step was taken with. */
  learning_rate: number
  /** L2 over all trainable parameters, before clipping; null where it is not a finite number. */
  grad_norm: number | null
  tokens: number
  supervised_tokens: number
  /** Wall time since the previous step ended. */
  seconds: number
  tokens_per_second: number
  /** From step 3 on. */
  eta_seconds?: number
  /** Set where the step was not applied. */
  skipped?: 'loss_not_finite' | 'gradient_not_finite' | 'loss_scale_overflow'
  /** Steps not applied so far; set with `skipped`. */
  skipped_steps?: number
  /** fp16 only. */
  loss_scale?: number
}

export interface EvalEvent {
  event: 'eval'
  step: number
  epoch: number
  /** Sum of the losses of all supervised tokens of the validation rows, divided by their number. */
  eval_loss: number
  eval_perplexity: number
  eval_rows: number
  eval_supervised_tokens: number
  seconds: number
  /** True where no earlier evaluation was better. */
  best: boolean
}

/** Memory was short: micro-batches are smaller from this step on, and a step has as many more. Its rows stay the same. */
export interface AutoBatchEvent {
  event: 'auto_batch'
  /** The step that is taken, or taken again. */
  step: number
  reason: 'estimate' | 'out_of_memory'
  batch_size: number
  gradient_accumulation_steps: number
  need_bytes: number
  available_bytes: number
}

export interface CheckpointEvent {
  event: 'checkpoint'
  path: string
  step: number
  bytes: number
  seconds: number
}

export interface EndEvent {
  event: 'end'
  status: 'finished' | 'interrupted'
  steps: number
  epoch: number
  /** Mean of the step losses. */
  train_loss: number | null
  /** Of the first and the last evaluation, where there are validation rows. */
  eval_loss_first?: number
  eval_loss?: number
  best_metric?: number
  best_model_checkpoint?: string | null
  tokens: number
  supervised_tokens: number
  skipped_steps: number
  train_seconds: number
  tokens_per_second: number
  /** From the start of the process to the end of its first optimizer step; null where it took none. */
  first_step_seconds: number | null
  peak_rss_bytes: number
  output: string
  /** The newest checkpoint. */
  checkpoint: string | null
  dry_run?: true
  /** Dry run: what the whole run would take at the speed of the longest batch. */
  estimated_seconds?: number
}

export type TrainingEvent = StartEvent | AutoBatchEvent | StepEvent | EvalEvent | CheckpointEvent | EndEvent

export interface TrainingObserver {
  onEvent?: (event: TrainingEvent) => void
  onState?: (state: TrainingState) => void
}

/** JSON has no NaN: what is not finite is null. */
export function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null
}
