// One log line about a model, one about a data set: what a person checks first.
import { getLogger, type Logger } from './logger.js'
import { formatBytes, formatCount } from './terminal.js'

/** The facts logModelInfo reads; a model's `info` has them. */
export interface ModelFacts {
  modelType: string
  numParameters: number
  numHiddenLayers: number
  hiddenSize: number
  vocabSize: number
  weightBytes?: number
  dtype?: string
  device?: string
  trainableParameters?: number
}

export function logModelInfo(model: ModelFacts, logger: Logger = getLogger()): void {
  const trainable = model.trainableParameters
  // Of all there are, those of the adapter among them, as PEFT counts.
  const all = trainable === model.numParameters ? trainable : model.numParameters + (trainable ?? 0)
  const share = trainable === undefined ? '' : `, ${formatCount(trainable)} trainable (${((100 * trainable) / all).toFixed(3)} %)`
  const weights = model.weightBytes === undefined ? '' : `, ${formatBytes(model.weightBytes)} of weights`
  logger.info(`model: ${model.modelType}, ${formatCount(model.numParameters)} parameters${share}${weights}`, {
    layers: model.numHiddenLayers,
    hidden_size: model.hiddenSize,
    vocab_size: model.vocabSize,
    dtype: model.dtype,
    device: model.device,
  })
}

/** The facts logDatasetInfo reads; the report of prepareDataset has them. */
export interface DatasetFacts {
  rows: number
  tokens: number
  supervisedTokens: number
  maxLength?: number
  truncatedRows?: number
  skippedBadRows?: number
  shapes?: Readonly<Record<string, number>>
  warnings?: readonly string[]
}

export function logDatasetInfo(data: DatasetFacts, logger: Logger = getLogger()): void {
  const supervised = data.tokens === 0 ? 0 : (100 * data.supervisedTokens) / data.tokens
  logger.info(`data: ${formatCount(data.rows)} rows, ${formatCount(data.tokens)} tokens, ${supervised.toFixed(1)} % with loss`, {
    max_length: data.maxLength,
    truncated_rows: data.truncatedRows || undefined,
    skipped_bad_rows: data.skippedBadRows || undefined,
    shapes: data.shapes,
  })
  for (const warning of data.warnings ?? []) logger.warn(warning)
}
