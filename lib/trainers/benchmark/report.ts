// What a benchmark of training tells: plain objects with snake_case keys, printed as they are by `benchmark --json`.

export interface Spread {
  median: number
  min: number
  max: number
}

export interface BenchmarkReport {
  kind: 'benchmark'
  model: string
  model_type: string
  parameters: number
  method: string
  trainable_parameters: number
  device: string
  dtype: string
  gradient_checkpointing: boolean
  checkpointed_layers: number
  /** CPU, threads, LibTorch. */
  environment: Record<string, string | number | boolean | null>
  rows: { source: 'random' | 'data'; count: number; longest_tokens: number }
  batch_size: number
  gradient_accumulation_steps: number
  max_seq_length: number
  packing: boolean
  warmup_steps: number
  steps: number
  /** Steps whose loss or gradient was not finite. */
  skipped_steps: number
  tokens_per_step: Spread
  step_seconds: Spread
  tokens_per_second: Spread
  supervised_tokens_per_second: Spread
  /** Medians of a step. null: this method's steps are not timed by phase. `other` is what the phases leave of the step. */
  phases: { forward_seconds: number; backward_seconds: number; optimizer_seconds: number; other_seconds: number } | null
  /** Median of making a step's batches, which happens while the engine works on the step before. */
  data_seconds: number
  /** From the start of the process to the end of the first step. */
  first_step_seconds: number
  /** `estimated`: what the peak was expected to be before anything was loaded. */
  memory: { loaded_rss_bytes: number; peak_rss_bytes: number; estimated_rss_bytes: number }
  largest_batch: LargestBatch
}

export interface LargestBatch {
  /** Rows of a micro-batch (windows, with packing) that fit; null: not found. */
  batch_size: number | null
  /** False: at least so many. */
  exact: boolean
  /** Of each row or window it was found with. */
  tokens_each: number
  bytes_each: number | null
  limit_bytes: number
  limit: 'container' | 'free memory' | 'device'
  measured: { batch_size: number; peak_rss_bytes: number }[]
  how: string
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (index: number): number => sorted[index] ?? 0
  const middle = Math.floor(sorted.length / 2)
  return { median: sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2, min: at(0), max: at(sorted.length - 1) }
}
