// The configuration's dataset and tokenization sections as what preparing data takes: the one place that knows both.
import { isExplicit, type DatasetConfig, type ResolvedConfig, type TokenizationConfig } from '../core/config/index.js'
import type { PrepareDatasetOptions } from './pipeline.js'
import type { DataInput, SourceSettings } from './sources/types.js'

/** Without what is no configuration: tokenizer, seed, clock, signal. */
export type ConfiguredOptions = Omit<PrepareDatasetOptions, 'tokenizer' | 'seed' | 'now' | 'signal' | 'onProgress' | 'vocabSize'>

/** Rows, shapes and tokens as configured; validationRatio as it stands, default or not. */
export function dataOptions(dataset: DatasetConfig, tokenization: TokenizationConfig): ConfiguredOptions {
  const { path, mixStop, validationPath, validationRatio, onBadRow, columns, columnSeparator, template, rowSchema, maxSamples, maxRowCharacters, cache, cacheLimit, filters, split, splitColumn, stratifyColumn } = dataset
  const { maxSeqLength, trainOn, trainOnPrompt, trainOnEndOfTurn, allowTruncation, chatTemplate, overflow, stride, packing, packingStrategy } = tokenization
  return {
    paths: dataInput(path), read: readSettings(dataset), mixStop, validationPath, validationRatio, onBadRow, columns, columnSeparator, template, rowSchema, maxSamples, maxRowCharacters, filters,
    split: { by: split, column: splitColumn, stratify: stratifyColumn },
    maxSeqLength, trainOn, trainOnPrompt, trainOnEndOfTurn, allowTruncation, chatTemplate, stride,
    cache: cache === false ? false : { limit: cacheLimit === undefined ? undefined : cacheLimit * 1e9 },
    // Wrapped windows cut where they end, and no row is too long.
    overflow: packing && packingStrategy === 'wrapped' ? 'keep' : overflow,
  }
}

function readSettings({ format, encoding, delimiter, sampleBy, revision, configName, trainSplit, maxUnpackRatio, maxUnpackedBytes }: DatasetConfig): SourceSettings {
  const settings = { format, encoding, delimiter, sampleBy, revision, config: configName, split: trainSplit, maxUnpackRatio, maxUnpackedBytes }
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}

function dataInput(path: DatasetConfig['path']): DataInput {
  if (typeof path === 'string') return path
  return path.map((one) => {
    if (typeof one === 'string') return one
    const { sample_by: sampleBy, config_name: config, train_split: split, ...rest } = one
    return { ...rest, sampleBy, config, split }
  })
}

/** Paths alone, for people. */
export function dataPaths({ path }: Pick<DatasetConfig, 'path'>): string[] {
  return typeof path === 'string' ? [path] : path.map((one) => (typeof one === 'string' ? one : one.path))
}

/** The default share of validation rows depends on how many rows there are: then it is left open. */
export function runDataOptions(config: ResolvedConfig): ConfiguredOptions & { seed: number } {
  const options = dataOptions(config.dataset, config.tokenization)
  return { ...options, seed: config.training.seed, validationRatio: isExplicit(config, 'dataset.validation_ratio') ? options.validationRatio : undefined }
}
