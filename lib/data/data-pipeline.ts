// DataPipeline: a data set as its configuration says, in one object; for programs. prepareDataset with sections of a configuration
// goes through it.
import { readSection, type DatasetConfig, type DatasetInput, type TokenizationConfig, type TokenizationInput } from '../core/config/index.js'
import { fail } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { dataOptions } from './from-config.js'
import { prepareRows, type PrepareDatasetOptions } from './pipeline.js'
import { isTokenizer, type TextTokenizer } from './tokenizer/index.js'
import type { PreparedDataset } from './types.js'

/** Sections as ConfigBuilder makes them, or parts of them: what is missing has its default. */
export type DatasetSection = DatasetConfig | (DatasetInput & { path: string | readonly string[] })
export type TokenizationSection = TokenizationConfig | TokenizationInput

export interface PipelineRunOptions {
  /** false: all rows are for training. Default true. */
  splitForValidation?: boolean
  /** Share of the rows to hold out, instead of what the section says. */
  validationRatio?: number
  /** Default 42. */
  seed?: number
  signal?: AbortSignal
  onProgress?: PrepareDatasetOptions['onProgress']
}

const runNames: OptionNames<PipelineRunOptions> = { splitForValidation: true, validationRatio: true, seed: true, signal: true, onProgress: true }
const defaults = { maxSeqLength: 1024, seed: 42 }

export class DataPipeline {
  readonly #dataset: DatasetConfig
  readonly #tokenization: TokenizationConfig
  readonly #tokenizer: TextTokenizer

  /** Errors: FT_INVALID_ARGUMENT; FT_INVALID_CONFIG, FT_UNKNOWN_CONFIG_KEY for what a section cannot hold. */
  constructor(dataset: DatasetSection, tokenization: TokenizationSection, tokenizer: TextTokenizer) {
    if (dataset?.path === undefined || !isTokenizer(tokenizer)) {
      fail('FT_INVALID_ARGUMENT', 'a data pipeline needs a dataset section with a path, and a tokenizer', { remedy: 'pass config.dataset, config.tokenization and await loadTokenizer(folder)' })
    }
    this.#dataset = readSection('dataset', dataset, 'DataPipeline') as unknown as DatasetConfig
    this.#tokenization = readSection('tokenization', tokenization ?? {}, 'DataPipeline') as unknown as TokenizationConfig
    this.#tokenizer = tokenizer
  }

  /** Errors: those of prepareDataset. */
  async run(options: PipelineRunOptions = {}): Promise<PreparedDataset> {
    checkOptions('DataPipeline.run', options, runNames)
    const { splitForValidation = true, validationRatio, seed = defaults.seed, signal, onProgress } = options
    const configured = dataOptions(this.#dataset, this.#tokenization)
    const split = splitForValidation ? { validationRatio: validationRatio ?? configured.validationRatio } : { validationRatio: 0, validationPath: undefined }
    return await prepareRows({ ...configured, maxSeqLength: configured.maxSeqLength ?? defaults.maxSeqLength, ...split, seed, tokenizer: this.#tokenizer, signal, onProgress })
  }
}

/**
 * Rows as tokens: from options, or from the sections of a configuration.
 * Errors: FT_DATASET, FT_DATASET_ROW, FT_NO_TEXT_COLUMNS, FT_EMPTY_DATASET, FT_NO_LABELS, FT_TRUNCATION, FT_TEMPLATE, FT_CANCELLED.
 */
export async function prepareDataset(options: PrepareDatasetOptions): Promise<PreparedDataset>
export async function prepareDataset(dataset: DatasetSection, tokenization: TokenizationSection, tokenizer: TextTokenizer): Promise<PreparedDataset>
export async function prepareDataset(first: PrepareDatasetOptions | DatasetSection, tokenization?: TokenizationSection, tokenizer?: TextTokenizer): Promise<PreparedDataset> {
  if (tokenizer === undefined) return await prepareRows(first as PrepareDatasetOptions)
  return await new DataPipeline(first as DatasetSection, tokenization ?? {}, tokenizer).run()
}
