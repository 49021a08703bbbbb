// Rules over several keys. They fail here, before anything is loaded.
import { computeDtype, type dtypeNames } from '../dtype.js'
import { isProblem, readFilter } from './filters.js'
import type { Origin } from './layers.js'
import type { Problem } from './problems.js'
import { findKey } from './table.js'

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

/** As transformers: every save must follow an evaluation, or the best checkpoint would be one that nobody judged. */
function unevenSteps(values: Values): Problem | null {
  const [save, evaluate] = [values.get('training.save_steps'), values.get('training.eval_steps')]
  const meet = typeof save === 'number' && typeof evaluate === 'number' ? save % evaluate === 0 : save === evaluate
  if (meet) return null
  const show = (steps: unknown): string => (typeof steps === 'number' ? `every ${steps} steps` : 'each epoch')
  return incompatible(
    `training.load_best_model_at_end needs an evaluation before every save: training.save_steps (${show(save)}) is no multiple of training.eval_steps (${show(evaluate)})`,
    'set --save-steps to a multiple of --eval-steps, or leave both out',
  )
}

/** The first filter that is not one, or whose options are wrong. */
function brokenFilter(values: Values): Problem | null {
  for (const [i, entry] of [values.get('dataset.filters') ?? []].flat().entries()) {
    const read = readFilter(entry, `dataset.filters[${i}]`)
    if (isProblem(read)) return read
  }
  return null
}

/** What a split needs, and what it has no use for. */
function unusableSplit(values: Values): Problem | null {
  const [split = 'random', column, stratify] = ['split', 'split_column', 'stratify_column'].map((name) => values.get(`dataset.${name}`))
  const used = split !== 'random' ? `dataset.split ${String(split)}` : stratify !== undefined ? 'dataset.stratify_column' : null
  if (column !== undefined && split === 'random') return incompatible('dataset.split_column is set, and dataset.split is random', 'set dataset.split to hash or group')
  if (split === 'group' && column === undefined) return incompatible('dataset.split group needs dataset.split_column', 'name the column whose values are groups')
  if (stratify !== undefined && split !== 'random') return incompatible(`dataset.stratify_column and dataset.split ${String(split)} are both set`, 'keep one of them')
  if (used !== null && values.get('dataset.validation_path') !== undefined) return incompatible(`${used} chooses validation rows, and dataset.validation_path names them`, 'keep one of them')
  return null
}

const fourBitKeys = ['model.bnb_4bit_quant_type', 'model.bnb_4bit_use_double_quant', 'model.bnb_4bit_compute_dtype'] as const

/** A run's resolved configuration has every key: a default says nothing. */
const saysSomething = (values: Values, dotted: string): boolean => ![undefined, findKey(dotted)?.row.default].includes(values.get(dotted))

/** Two ways to keep weights, a method that needs another, options of a way that is not taken. */
function unusableQuantization(values: Values): Problem | null {
  const [four, eight] = [values.get('model.load_in_4bit') === true, values.get('model.load_in_8bit') === true]
  const method = values.get('training.method')
  if (method === 'qlora' && (eight || !four)) {
    return eight
      ? incompatible('training.method qlora keeps weights in 4 bits and model.load_in_8bit in 8', 'use --method lora with --load-in-8bit')
      : incompatible('training.method qlora needs model.load_in_4bit, which is false', 'use --method lora')
  }
  if (four && eight) return incompatible('model.load_in_4bit and model.load_in_8bit are both set', 'keep one of them')
  if (method === 'full' && (four || eight)) return incompatible('training.method full trains all weights, and quantized ones cannot be trained', 'use --method qlora or lora')
  const unused = four ? undefined : fourBitKeys.find((dotted) => saysSomething(values, dotted))
  if (unused !== undefined) return incompatible(`${unused} is set, but weights are not loaded in 4 bits`, 'add --load-in-4bit, or leave it out')
  return otherComputeType(values)
}

function otherComputeType(values: Values): Problem | null {
  const compute = values.get('model.bnb_4bit_compute_dtype') as (typeof dtypeNames)[number] | undefined
  const dtype = String(values.get('model.dtype'))
  if (compute === undefined || dtype === 'auto' || dtype === computeDtype(compute)) return null
  return incompatible(`model.bnb_4bit_compute_dtype is ${compute} and model.dtype is ${dtype}`, 'keep one of them')
}

const rules: readonly Rule[] = [
  (values) =>
    positive(values.get('model.offload_layers')) && values.get('training.method') === 'full'
      ? incompatible('training.method full trains all weights, and model.offload_layers keeps some frozen in the memory of the CPU', 'use --method lora, or --offload-layers 0')
      : null,
  brokenFilter,
  unusableSplit,
  unusableQuantization,
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
  (values) =>
    values.get('training.load_best_model_at_end') === true && values.get('dataset.validation_path') === undefined && explicit(values, 'dataset.validation_ratio') && !positive(values.get('dataset.validation_ratio'))
      ? incompatible('training.load_best_model_at_end needs an evaluation loss, but dataset.validation_ratio is 0', 'hold rows out with --validation-ratio or --validation-path')
      : null,
  (values) => (values.get('training.load_best_model_at_end') === true ? unevenSteps(values) : null),
  (values) =>
    values.get('tokenization.train_on_prompt') === true && ![undefined, 'all'].includes(values.get('tokenization.train_on') as string | undefined)
      ? incompatible(`tokenization.train_on_prompt gives every token loss and tokenization.train_on is ${String(values.get('tokenization.train_on'))}`, 'keep one of them')
      : null,
  (values) =>
    values.get('tokenization.train_on_end_of_turn') === false && (values.get('tokenization.train_on_prompt') === true || values.get('tokenization.train_on') === 'all')
      ? incompatible('all tokens are to carry loss (tokenization.train_on_prompt or train_on all), and tokenization.train_on_end_of_turn false takes some away', 'leave one of them out')
      : null,
  (values) =>
    values.get('training.group_by_length') === true && values.get('tokenization.packing') === true
      ? incompatible('training.group_by_length sorts rows by length and tokenization.packing fills windows of one length', 'keep one of them')
      : null,
  (values) =>
    values.get('tokenization.packing_strategy') !== undefined && values.get('tokenization.packing') !== true
      ? incompatible('tokenization.packing_strategy says how rows are packed, but tokenization.packing is off', 'add --packing, or leave the strategy out')
      : null,
  (values) =>
    values.get('tokenization.stride') !== undefined && values.get('tokenization.overflow') !== 'split'
      ? incompatible('tokenization.stride is what the parts of a split row share, but tokenization.overflow is not split', 'add --overflow split, or leave the stride out')
      : null,
  (values) =>
    Number(values.get('tokenization.stride') ?? 0) >= Number(values.get('tokenization.max_seq_length'))
      ? incompatible('tokenization.stride leaves no room for new tokens: it is not below tokenization.max_seq_length', 'lower the stride')
      : null,
  (values) =>
    values.get('tokenization.packing_strategy') === 'wrapped' && values.get('tokenization.overflow') !== undefined
      ? incompatible('tokenization.packing_strategy wrapped cuts no row short, so tokenization.overflow says nothing', 'keep one of them')
      : null,
  (values) =>
    values.get('dataset.shuffle_window') !== undefined && values.get('dataset.shuffle') === false
      ? incompatible('dataset.shuffle_window says how far rows are shuffled, but dataset.shuffle is false', 'keep one of them')
      : null,
  (values) =>
    values.get('dataset.columns') !== undefined && values.get('dataset.template') !== undefined
      ? incompatible('dataset.columns and dataset.template both say how rows are read', 'keep one of them')
      : null,
]

export function brokenRules(values: Values): Problem[] {
  return rules.flatMap((rule) => rule(values) ?? [])
}
