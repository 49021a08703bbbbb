// Every configuration key, one row each, a file a section: the one table that flags, environment variables, help, files,
// docs/configuration.md and the JSON Schema are made from. A new key is one row.
import { dataset } from './keys/dataset.js'
import { evaluation } from './keys/evaluation.js'
import { logging } from './keys/logging.js'
import { lora } from './keys/lora.js'
import { model } from './keys/model.js'
import { tokenization } from './keys/tokenization.js'
import { training } from './keys/training.js'

export const sections = { model, dataset, tokenization, training, lora, evaluation, logging } as const
export type Sections = typeof sections
export type SectionName = keyof Sections

/** One sentence a section, for help and docs. */
export const sectionTitles = {
  model: 'The model to start from',
  dataset: 'The rows to train and evaluate on',
  tokenization: 'How rows become tokens',
  training: 'The run',
  lora: 'The adapter (method lora)',
  evaluation: 'Evaluation during training',
  logging: 'Logging',
} as const satisfies Record<SectionName, string>
