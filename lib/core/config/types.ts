// The resolved configuration as TypeScript sees it, and what a program may give.
import type { Sections } from './keys.js'
import type { Origin } from './layers.js'
import type { ResolvedSection, SectionInput } from './row.js'

/** By dotted snake_case key: "training.batch_size". */
export type ConfigOrigins = Readonly<Record<string, Origin>>

type ResolvedSections = { readonly [Section in keyof Sections]: ResolvedSection<Sections[Section]> }

/** Complete, checked, deeply frozen. */
export interface ResolvedConfig extends ResolvedSections {
  readonly origins: ConfigOrigins
}

export type ModelConfig = ResolvedConfig['model']
export type DatasetConfig = ResolvedConfig['dataset']
export type TokenizationConfig = ResolvedConfig['tokenization']
export type TrainingConfig = ResolvedConfig['training']
export type LoraConfig = ResolvedConfig['lora']
export type EvaluationConfig = ResolvedConfig['evaluation']
export type LoggingConfig = ResolvedConfig['logging']

export type ModelInput = SectionInput<Sections['model']>
export type DatasetInput = SectionInput<Sections['dataset']>
export type TokenizationInput = SectionInput<Sections['tokenization']>
export type TrainingInput = SectionInput<Sections['training']>
export type LoraInput = SectionInput<Sections['lora']>
export type EvaluationInput = SectionInput<Sections['evaluation']>
export type LoggingInput = SectionInput<Sections['logging']>

/** Training methods of this package; plugins add their own names. */
export const TrainingMethod = { LORA: 'lora', QLORA: 'qlora', FULL: 'full' } as const
export type TrainingMethod = (typeof TrainingMethod)[keyof typeof TrainingMethod] | (string & {})

/** Where rows come from: the loaders of this package, by the names that DatasetLoaderRegistry knows; plugins add their own. */
export const DatasetSource = { JSONL: 'jsonl', JSON: 'json', CSV: 'csv', TSV: 'tsv', TXT: 'txt', PARQUET: 'parquet' } as const
export type DatasetSource = (typeof DatasetSource)[keyof typeof DatasetSource] | (string & {})
