// The resolved configuration as TypeScript sees it, and what a program may give.
import type { Sections } from './keys.js'
import type { Origin } from './layers.js'
import type { ResolvedSection, SectionInput } from './row.js'

export type ModelConfig = ResolvedSection<Sections['model']>
export type DatasetConfig = ResolvedSection<Sections['dataset']>
export type TokenizationConfig = ResolvedSection<Sections['tokenization']>
export type TrainingConfig = ResolvedSection<Sections['training']>
export type LoraConfig = ResolvedSection<Sections['lora']>
export type EvaluationConfig = ResolvedSection<Sections['evaluation']>
export type LoggingConfig = ResolvedSection<Sections['logging']>

/** By dotted snake_case key: "training.batch_size". */
export type ConfigOrigins = Readonly<Record<string, Origin>>

/** Complete, checked, deeply frozen. */
export interface ResolvedConfig {
  readonly model: ModelConfig
  readonly dataset: DatasetConfig
  readonly tokenization: TokenizationConfig
  readonly training: TrainingConfig
  readonly lora: LoraConfig
  readonly evaluation: EvaluationConfig
  readonly logging: LoggingConfig
  readonly origins: ConfigOrigins
}

export type ModelInput = SectionInput<Sections['model']>
export type DatasetInput = SectionInput<Sections['dataset']>
export type TokenizationInput = SectionInput<Sections['tokenization']>
export type TrainingInput = SectionInput<Sections['training']>
export type LoraInput = SectionInput<Sections['lora']>
export type EvaluationInput = SectionInput<Sections['evaluation']>
export type LoggingInput = SectionInput<Sections['logging']>

/** Training methods of this package; plugins add their own names. */
export const TrainingMethod = { LORA: 'lora', FULL: 'full' } as const
export type TrainingMethod = (typeof TrainingMethod)[keyof typeof TrainingMethod] | (string & {})

/** Where rows come from: the loaders of this package, by the names that DatasetLoaderRegistry knows; plugins add their own. */
export const DatasetSource = { JSONL: 'jsonl', JSON: 'json' } as const
export type DatasetSource = (typeof DatasetSource)[keyof typeof DatasetSource] | (string & {})
