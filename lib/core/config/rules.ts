// Rules over several keys. They fail here, before anything is loaded.
import type { Origin } from './layers.js'
import type { Problem } from './problems.js'

export interface Values {
  get(dotted: string): unknown
  origin(dotted: string): Origin
}

type Rule = (values: Values) => Problem | null

function incompatible(message: string, remedy: string): Problem {
  return { code: 'FT_INCOMPATIBLE_CONFIG', message, remedy }
}

const explicit = (values: Values, dotted: string): boolean => values.origin(dotted) !== 'default'
const positive = (value: unknown): boolean => typeof value === 'number' && value > 0

const rules: readonly Rule[] = [
  (values) =>
    explicit(values, 'training.warmup_ratio') && positive(values.get('training.warmup_ratio')) && positive(values.get('training.warmup_steps'))
      ? incompatible('training.warmup_ratio and training.warmup_steps are both set', 'keep one of them')
      : null,
  (values) =>
    values.get('training.resume') !== false && values.get('training.overwrite') === true
      ? incompatible('training.resume goes on with a run and training.overwrite replaces it', 'keep one of them')
      : null,
  (values) =>
    values.get('training.adapter') !== undefined && values.get('training.method') === 'full'
      ? incompatible('training.adapter starts from an adapter, but method full trains all weights', 'merge the adapter first (ft-native merge), or use method lora')
      : null,
  (values) =>
    values.get('dataset.validation_path') !== undefined && explicit(values, 'dataset.validation_ratio') && positive(values.get('dataset.validation_ratio'))
      ? incompatible('dataset.validation_path and dataset.validation_ratio are both set', 'keep one of them')
      : null,
]

export function brokenRules(values: Values): Problem[] {
  return rules.flatMap((rule) => rule(values) ?? [])
}
