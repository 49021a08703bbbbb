// The inputs that a checkpoint remembers: every configuration value that the numbers depend on, and fingerprints of
// model and data. A new configuration key counts unless it is listed as free.
import type { ResolvedConfig } from '../core/config/index.js'
import { flatten, type ImpliedInputs, type RunInputs } from './checkpoints/inputs.js'
import type { ModelSource } from './engine.js'

/** These change how a run is watched and kept, or are compared in another way; never what it computes. */
const freeTrainingKeys = new Set([
  'training.output_dir',
  'training.num_epochs',
  'training.max_steps',
  'training.save_steps',
  'training.save_total_limit',
  'training.eval_steps',
  'training.load_best_model_at_end',
  'training.logging_steps',
  'training.gradient_checkpointing',
  'training.auto_batch',
  'training.adapter',
  'training.resume',
  'training.overwrite',
  'training.force',
  'training.on_nan',
  'training.threads',
])

/** An input that changes whenever one of the others does: on its own it is then no news. */
export const impliedInputs: ImpliedInputs = { 'training data': ['tokenization.max_seq_length', 'tokenization.train_on_prompt', 'dataset.filters'] }

export interface InputSources {
  config: ResolvedConfig
  source: ModelSource
  objective: string
  methodInputs: RunInputs
  modelFingerprint: string
  dataFingerprint: string
}

export function runInputs({ config, source, objective, methodInputs, modelFingerprint, dataFingerprint }: InputSources): RunInputs {
  const { shuffle, shuffleWindow, validationRatio, filters, split, splitColumn, stratifyColumn } = config.dataset
  // What is as if it were not there was not written down before it was.
  const chosen = { filters: filters?.length ? [filters].flat() : undefined, split: split === 'random' ? undefined : split, splitColumn, stratifyColumn }
  const { init, attention, arch } = config.model
  const quantization = quantizationInputs(config.model)
  const training = Object.entries(flatten({ ...config.training }, 'training')).filter(([key]) => !freeTrainingKeys.has(key))
  const { chatTemplate: _template, ...tokenization } = config.tokenization
  return {
    'model weights': modelFingerprint,
    'training data': dataFingerprint,
    objective,
    'model.dtype': source.dtype,
    ...flatten({ init, attention, ...(arch === undefined ? {} : { arch }), ...quantization }, 'model'),
    ...flatten({ shuffle, shuffleWindow, validationRatio, ...chosen }, 'dataset'),
    ...flatten(tokenization, 'tokenization'),
    // How rows are packed when nobody says is part of what a run repeats.
    ...(tokenization.packing ? { 'tokenization.packing_strategy': tokenization.packingStrategy ?? 'best_fit' } : {}),
    ...Object.fromEntries(training),
    ...methodInputs,
  }
}

/** Nothing where weights are not quantized: such runs have the inputs that they always had. */
function quantizationInputs(model: ResolvedConfig['model']): Record<string, unknown> {
  const { loadIn4bit, loadIn8bit, bnb4bitQuantType, bnb4bitUseDoubleQuant, llmInt8Threshold, llmInt8SkipModules } = model
  const skipped = { llm_int8_skip_modules: llmInt8SkipModules }
  if (loadIn4bit) return { load_in_4bit: true, bnb_4bit_quant_type: bnb4bitQuantType, bnb_4bit_use_double_quant: bnb4bitUseDoubleQuant, ...skipped }
  return loadIn8bit ? { load_in_8bit: true, llm_int8_threshold: llmInt8Threshold, ...skipped } : {}
}
