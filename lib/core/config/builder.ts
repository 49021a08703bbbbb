// A configuration from code, the same frozen object that files and flags give:
// new ConfigBuilder().withModel('./model').withDataset('./data.jsonl').withTraining('lora', './out').build()
import { sectionLayer, type Layer } from './layers.js'
import { buildConfig } from './load.js'
import type { SectionName } from './keys.js'
import { mergeLayers } from './resolve.js'
import type {
  DatasetInput, EvaluationInput, LoggingInput, LoraInput, ModelInput, ResolvedConfig, TokenizationInput, TrainingInput, TrainingMethod,
} from './types.js'

export class ConfigBuilder {
  readonly #layers: Layer[] = []

  /** @param model the model's folder, or all options of the section. */
  withModel(model: string | ModelInput, options: Omit<ModelInput, 'name'> = {}): this {
    return this.#add('model', 'withModel', typeof model === 'string' ? { ...options, name: model } : { ...model, ...options })
  }

  /** @param dataset files or globs of rows, or all options of the section. */
  withDataset(dataset: string | readonly string[] | DatasetInput, options: Omit<DatasetInput, 'path'> = {}): this {
    const given = typeof dataset === 'string' || isList(dataset) ? { path: dataset } : dataset
    return this.#add('dataset', 'withDataset', { ...given, ...options })
  }

  withTokenization(options: TokenizationInput): this {
    return this.#add('tokenization', 'withTokenization', options)
  }

  withTraining(method: TrainingMethod | TrainingInput, outputDir?: string, options: Omit<TrainingInput, 'method' | 'outputDir'> = {}): this {
    const given = typeof method === 'string' ? { method } : method
    return this.#add('training', 'withTraining', { ...given, ...(outputDir === undefined ? {} : { outputDir }), ...options })
  }

  withLora(options: LoraInput): this {
    return this.#add('lora', 'withLora', options)
  }

  withEvaluation(options: EvaluationInput): this {
    return this.#add('evaluation', 'withEvaluation', options)
  }

  withLogging(options: LoggingInput): this {
    return this.#add('logging', 'withLogging', options)
  }

  /** Checks everything. Errors: FT_UNKNOWN_CONFIG_KEY, FT_INVALID_CONFIG, FT_INCOMPATIBLE_CONFIG, FT_MISSING_CONFIG. */
  build(): ResolvedConfig {
    return buildConfig(mergeLayers(this.#layers))
  }

  /** A later call of the same section overrides key by key. */
  #add(section: SectionName, method: string, options: object): this {
    this.#layers.push(sectionLayer(section, options as Record<string, unknown>, 'code', () => `${method}()`))
    return this
  }
}

function isList(value: unknown): value is readonly string[] {
  return Array.isArray(value)
}
