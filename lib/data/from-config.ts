// The configuration's dataset and tokenization sections as what preparing data takes: the one place that knows both.
import { isExplicit, type DatasetConfig, type ResolvedConfig, type TokenizationConfig } from '../core/config/index.js'
import type { PrepareDatasetOptions } from './pipeline.js'

/** Without what is no configuration: tokenizer, seed, clock, signal. */
export type ConfiguredOptions = Omit<PrepareDatasetOptions, 'tokenizer' | 'seed' | 'now' | 'signal' | 'onProgress' | 'vocabSize'>

/** Rows, shapes and tokens as configured; validationRatio as it stands, default or not. */
export function dataOptions(dataset: DatasetConfig, tokenization: TokenizationConfig): ConfiguredOptions {
  const { path, validationPath, validationRatio, onBadRow, columns, columnSeparator, template, rowSchema, filters, split, splitColumn, stratifyColumn } = dataset
  const { maxSeqLength, trainOn, trainOnPrompt, allowTruncation, chatTemplate, overflow, stride, packing, packingStrategy } = tokenization
  return {
    paths: path, validationPath, validationRatio, onBadRow, columns, columnSeparator, template, rowSchema, filters,
    split: { by: split, column: splitColumn, stratify: stratifyColumn },
    maxSeqLength, trainOn, trainOnPrompt, allowTruncation, chatTemplate, stride,
    // Wrapped windows cut where they end, and no row is too long.
    overflow: packing && packingStrategy === 'wrapped' ? 'keep' : overflow,
  }
}

/** The default share of validation rows depends on how many rows there are: then it is left open. */
export function runDataOptions(config: ResolvedConfig): ConfiguredOptions & { seed: number } {
  const options = dataOptions(config.dataset, config.tokenization)
  return { ...options, seed: config.training.seed, validationRatio: isExplicit(config, 'dataset.validation_ratio') ? options.validationRatio : undefined }
}
