// Every configuration key, one row each: the one table that flags, environment variables, help, files,
// docs/configuration.md and the JSON Schema are made from. A new key is one row.
import { names } from '../registry.js'
import type { Zod } from '../zod.js'
import { key, optionalKey, requiredKey, type SectionRows } from './row.js'

const dtypes = ['auto', 'bf16', 'fp16', 'fp32'] as const
const attentions = ['auto', 'flash', 'eager'] as const
const inits = ['pretrained', 'random'] as const
const trainOn = ['answers', 'last', 'all'] as const
const overflows = ['truncate', 'truncate_left', 'keep_answer', 'drop', 'split'] as const
const packings = ['best_fit', 'wrapped'] as const
const fourBitTypes = ['nf4', 'fp4'] as const
const fourBitDtypes = ['bfloat16', 'float16', 'float32', 'bf16', 'fp16', 'fp32'] as const
const badRows = ['stop', 'skip'] as const
const sampleBys = ['line', 'paragraph', 'file'] as const
const mixStops = ['first_exhausted', 'all_exhausted'] as const
const splits = ['random', 'hash', 'group'] as const
const levels = ['error', 'warn', 'info', 'debug'] as const

const model = {
  name: requiredKey({
    kind: 'string', flag: 'model', path: 'or name', valueName: '<folder|name>', aka: ['model', 'model_name', 'model_name_or_path', 'base_model', 'path'],
    schema: (z) => z.string().min(1), expects: 'a model folder or the name of a model',
    describe: 'Model folder (config.json, safetensors weights, tokenizer files), or the name of a model in the Hugging Face cache.',
  }),
  dtype: key({
    kind: 'choice', flag: 'dtype', choices: dtypes, default: 'auto', aka: ['torch_dtype', 'bf16', 'fp16', 'precision'],
    schema: (z) => z.enum(dtypes), expects: 'auto, bf16, fp16 or fp32',
    describe: 'Compute type. auto: bf16 where the device has it, else fp32.',
  }),
  device: key({
    kind: 'string', flag: 'device', valueName: 'auto|cpu|cuda[:n]|mps', default: 'auto', aka: ['device_map'],
    schema: (z) => z.string().regex(/^(?:auto|cpu|mps|cuda(?::(?:0|[1-9]\d{0,3}))?)$/), expects: 'auto, cpu, cuda, cuda:<n> or mps',
    describe: 'Where to compute. auto: the first GPU, else the CPU.',
  }),
  attention: key({
    kind: 'choice', flag: 'attention', choices: attentions, default: 'auto', aka: ['attn_implementation', 'flash_attention'],
    schema: (z) => z.enum(attentions), expects: 'auto, flash or eager',
    describe: 'Attention kernel. eager is the plain reference.',
  }),
  init: key({
    kind: 'choice', flag: 'init', choices: inits, default: 'pretrained',
    schema: (z) => z.enum(inits), expects: 'pretrained or random',
    describe: 'random: start from random weights; the folder needs no weight files.',
  }),
  arch: optionalKey({
    kind: 'string', flag: 'arch', valueName: '<model_type>', defaultText: 'what config.json says', aka: ['model_type'],
    schema: (z) => z.string().min(1), expects: 'a model_type that is supported',
    describe: 'Read config.json as that of this family, whatever it calls itself.',
  }),
  load_in_4bit: key({
    kind: 'boolean', flag: 'load-in-4bit', defaultText: 'false (qlora: true)', aka: ['quantization_bit', 'load_4bit', '4bit'],
    default: (read) => read('training.method') === 'qlora',
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Keep linear weights in 4 bits, quantized while they are read. The output head and embeddings stay as they are.',
  }),
  load_in_8bit: key({
    kind: 'boolean', flag: 'load-in-8bit', default: false, aka: ['load_8bit', '8bit'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Keep linear weights in 8 bits (LLM.int8), quantized while they are read. The output head and embeddings stay as they are.',
  }),
  bnb_4bit_quant_type: key({
    kind: 'choice', flag: 'quant-type', choices: fourBitTypes, default: 'nf4', aka: ['quant_type', 'quantization_type', 'bnb_quant_type'],
    schema: (z) => z.enum(fourBitTypes), expects: 'nf4 or fp4',
    describe: 'Type of 4-bit weights.',
  }),
  bnb_4bit_use_double_quant: key({
    kind: 'boolean', flag: 'double-quant', default: false, aka: ['double_quantization', 'double_quant', 'use_bnb_nested_quant', 'use_nested_quant'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Keep the scales of 4-bit weights in 8 bits too.',
  }),
  bnb_4bit_compute_dtype: optionalKey({
    kind: 'choice', choices: fourBitDtypes, defaultText: 'model.dtype', aka: ['compute_dtype', 'bnb_compute_dtype'],
    schema: (z) => z.enum(fourBitDtypes), expects: 'bfloat16, float16 or float32',
    describe: 'Compute type beside 4-bit weights: another name of dtype.',
  }),
  llm_int8_threshold: key({
    kind: 'number', default: 6, defaultText: '6.0',
    schema: (z) => z.number().min(0), expects: 'a number of at least 0',
    describe: 'Inputs of at least this size keep their columns out of the 8-bit product; 0: none do.',
  }),
  llm_int8_skip_modules: optionalKey({
    kind: 'names',
    schema: (z) => z.array(z.string().min(1)), expects: 'a list of module names',
    describe: 'Modules that are not quantized, besides the output head: names, ends of names or patterns.',
  }),
} satisfies SectionRows

/** One of several sources, in a file. */
const dataSource = (z: Zod) => z.strictObject({
  path: z.string().min(1),
  weight: z.number().positive().optional(),
  format: z.string().min(1).optional(),
  encoding: z.string().min(1).optional(),
  delimiter: z.string().min(1).max(8).optional(),
  sample_by: z.enum(sampleBys).optional(),
  revision: z.string().min(1).optional(),
  config_name: z.string().min(1).optional(),
  train_split: z.string().min(1).optional(),
})

const dataset = {
  path: requiredKey({
    kind: 'list', flag: 'data', path: 'or data name', valueName: '<file|glob|folder|name>', aka: ['data', 'dataset', 'train_file', 'data_files', 'dataset_path', 'datasets', 'sources'],
    schema: (z) => z.union([z.string().min(1), z.array(z.union([z.string().min(1), dataSource(z)])).min(1)]),
    expects: 'a path, or a list of paths and sources ({path, weight, format, encoding, delimiter, sample_by, revision, config_name, train_split})',
    describe: 'Training rows: files (JSONL, JSON, CSV, TSV, TXT, Parquet, also .gz), globs, a folder, a data set of the hub (org/name), or - for standard input. Repeat the flag for several. Sources with a weight are interleaved.',
  }),
  format: optionalKey({
    kind: 'choice', flag: 'data-format', table: names.loaders, defaultText: 'by extension, else by content', aka: ['file_type', 'ds_type', 'type', 'loader'],
    schema: (z) => z.string().min(1), expects: 'the name of a loader',
    describe: 'How the files are read, whatever their names say.',
  }),
  encoding: optionalKey({
    kind: 'string', flag: 'encoding', valueName: '<name>', defaultText: 'detected',
    schema: (z) => z.string().min(1), expects: 'the name of an encoding',
    describe: 'Encoding of text files: utf-8, utf-16le, windows-1252, shift_jis …',
  }),
  delimiter: optionalKey({
    kind: 'string', flag: 'delimiter', valueName: '<character>', defaultText: 'detected', aka: ['sep', 'separator'],
    schema: (z) => z.string().min(1).max(8), expects: 'a text of at most 8 characters',
    describe: 'What parts the cells of CSV files.',
  }),
  sample_by: optionalKey({
    kind: 'choice', flag: 'sample-by', choices: sampleBys, defaultText: 'line',
    schema: (z) => z.enum(sampleBys), expects: 'line, paragraph or file',
    describe: 'What one row of a plain text is.',
  }),
  revision: optionalKey({
    kind: 'string', flag: 'data-revision', valueName: '<branch|tag|commit>', defaultText: 'main', aka: ['dataset_revision'],
    schema: (z) => z.string().min(1), expects: 'a branch, tag or commit',
    describe: 'Which version of a data set of the hub.',
  }),
  config_name: optionalKey({
    kind: 'string', flag: 'data-config', valueName: '<name>', aka: ['config', 'subset', 'name', 'dataset_config_name'],
    schema: (z) => z.string().min(1), expects: 'the name of a configuration',
    describe: 'Which configuration of a data set that has several.',
  }),
  train_split: optionalKey({
    kind: 'string', flag: 'train-split', valueName: '<name>', defaultText: 'train', aka: ['dataset_train_split'],
    schema: (z) => z.string().min(1), expects: 'the name of a split',
    describe: 'Split of a folder or hub data set to train on. Its validation split is evaluated on, unless validation_ratio or validation_path is set.',
  }),
  mix_stop: optionalKey({
    kind: 'choice', flag: 'mix-stop', choices: mixStops, defaultText: 'first_exhausted', aka: ['mix_strategy', 'stopping_strategy'],
    schema: (z) => z.enum(mixStops), expects: 'first_exhausted or all_exhausted',
    describe: 'When sources with weights end: with the first that has no more rows, or when all have been read (shorter ones then repeat).',
  }),
  max_unpack_ratio: optionalKey({
    kind: 'number', defaultText: '100',
    schema: (z) => z.number().positive(), expects: 'a number above 0',
    describe: 'An archive or Parquet file that unpacks to more than so many times its size is refused, beyond 64 MiB.',
  }),
  max_unpacked_bytes: optionalKey({
    kind: 'integer', defaultText: 'no limit',
    schema: (z) => z.int().positive(), expects: 'an integer above 0',
    describe: 'An archive that unpacks to more is refused.',
  }),
  shuffle: key({
    kind: 'boolean', flag: 'shuffle', default: true,
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Shuffle the rows of each epoch, by the seed.',
    describeNo: 'Keep the rows in the order of the files.',
  }),
  shuffle_window: optionalKey({
    kind: 'integer', flag: 'shuffle-window', defaultText: 'all rows', aka: ['shuffle_buffer_size', 'buffer_size'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Shuffle inside stretches of this many rows (windows, with packing), as a stream would be.',
  }),
  validation_ratio: key({
    kind: 'number', flag: 'validation-ratio', defaultText: '0.1 (0 below 20 rows, or with validation_path)',
    default: (read) => (read('dataset.validation_path') === undefined ? 0.1 : 0),
    aka: ['val_size', 'val_set_size', 'test_size', 'eval_ratio'],
    schema: (z) => z.number().min(0).lt(1), expects: 'a number from 0 to below 1',
    describe: 'Share of the rows held out for evaluation.',
  }),
  validation_path: optionalKey({
    kind: 'string', flag: 'validation-path', path: 'or data name', valueName: '<file|glob|folder|name>', aka: ['eval_file', 'validation_file', 'eval_path'],
    schema: (z) => z.string().min(1), expects: 'a path',
    describe: 'Rows to evaluate on, instead of a share of the training rows.',
  }),
  columns: optionalKey({
    kind: 'record', flag: 'columns', valueName: '<json>', aka: ['column_mapping', 'field', 'field_messages', 'text_column', 'dataset_text_field', 'prompt_column'],
    schema: (z) => z.record(z.string().min(1), z.union([z.string().min(1), z.array(z.string().min(1)).min(1)])), expects: 'a map from fields of a row shape to columns of the data',
    describe: 'Which columns stand for the fields of a row shape: {"prompt": "question", "completion": "answer"}, or {"text": ["title", "body"]}, which are joined.',
  }),
  column_separator: optionalKey({
    kind: 'string', flag: 'column-separator', defaultText: 'a line end',
    schema: (z) => z.string(), expects: 'a text',
    describe: 'Between columns that are joined.',
  }),
  template: optionalKey({
    kind: 'record', flag: 'template', valueName: '<text>', aka: ['text_template', 'prompt_template', 'prompt_format'],
    schema: (z) => z.union([z.string().min(1), z.strictObject({ prompt: z.string(), completion: z.string().min(1) })]), expects: 'a text with columns in braces, or {"prompt": …, "completion": …} of such texts',
    describe: 'Text made of columns, instead of a row shape: "### {title}\\n{body}".',
  }),
  row_schema: optionalKey({
    kind: 'string', flag: 'row-schema', path: 'always', valueName: '<file>',
    schema: (z) => z.union([z.string().min(1), z.record(z.string(), z.unknown())]), expects: 'the path of a JSON Schema, or the schema itself',
    describe: 'JSON Schema that every row must fit.',
  }),
  filters: optionalKey({
    kind: 'list', flag: 'filter', valueName: '<name>', aka: ['filter', 'dedup', 'deduplicate', 'remove_duplicates'],
    schema: (z) => z.array(z.union([z.string().min(1), z.record(z.string(), z.unknown())])).or(z.string().min(1)), expects: 'a list of filters, each a name or {name: options}',
    describe: 'Rows to leave out, counted and reported: names of filters, or {name: options}. Repeat the flag for several; docs/data.md lists them.',
  }),
  split: optionalKey({
    kind: 'choice', flag: 'split', choices: splits, defaultText: 'random', aka: ['split_method', 'split_by'],
    schema: (z) => z.enum(splits), expects: 'random, hash or group',
    describe: 'How validation_ratio chooses rows: at random; by a hash of split_column (of the whole row where there is none), so that a row keeps its side when data is added; or whole groups of split_column.',
  }),
  split_column: optionalKey({
    kind: 'string', flag: 'split-column', valueName: '<column>', aka: ['group_column', 'group_by', 'split_key'],
    schema: (z) => z.string().min(1), expects: 'the name of a column',
    describe: 'Column whose values stay together on one side (split hash and group).',
  }),
  stratify_column: optionalKey({
    kind: 'string', flag: 'stratify-column', valueName: '<column>', aka: ['stratify', 'stratify_by', 'stratify_by_column'],
    schema: (z) => z.string().min(1), expects: 'the name of a column',
    describe: 'Column of which every value has its share of the validation rows (split random).',
  }),
  cache: optionalKey({
    kind: 'boolean', flag: 'cache', defaultText: 'true',
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Keep the tokens of data sets of 4 MB or more, and take them from there the next time.',
    describeNo: 'Tokenize anew, and keep nothing.',
  }),
  cache_limit: optionalKey({
    kind: 'number', flag: 'cache-limit', defaultText: '20', valueName: '<GB>',
    schema: (z) => z.number().min(0), expects: 'a number of at least 0',
    describe: 'Gigabytes that all kept data sets may take; those used longest ago go first.',
  }),
  max_samples: optionalKey({
    kind: 'integer', flag: 'max-samples', defaultText: 'all', aka: ['max_train_samples', 'num_samples', 'max_rows'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'No more rows than these are read.',
  }),
  on_bad_row: key({
    kind: 'choice', flag: 'on-bad-row', choices: badRows, default: 'stop',
    schema: (z) => z.enum(badRows), expects: 'stop or skip',
    describe: 'A row that cannot be read stops the run, or is skipped and counted (more than 1 % is an error).',
  }),
} satisfies SectionRows

const tokenization = {
  max_seq_length: key({
    kind: 'integer', flag: 'max-seq-length', default: 1024, aka: ['max_length', 'sequence_len', 'cutoff_len', 'block_size'],
    schema: (z) => z.int().min(2).max(16_777_216), expects: 'an integer of at least 2, at most 16777216',
    describe: 'Longest row in tokens; what becomes of a longer one is said by overflow.',
  }),
  packing: key({
    kind: 'boolean', flag: 'packing', default: false, aka: ['sample_packing', 'pack_sequences'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Rows share windows of max_seq_length tokens, each attending to itself alone; batch_size counts windows.',
  }),
  packing_strategy: optionalKey({
    kind: 'choice', flag: 'packing-strategy', choices: packings, defaultText: 'best_fit',
    schema: (z) => z.enum(packings), expects: 'best_fit or wrapped',
    describe: 'best_fit: whole rows, into the window they fill best. wrapped: rows run across windows, and attention across rows.',
  }),
  train_on_prompt: key({
    kind: 'boolean', flag: 'train-on-prompt', default: false, aka: ['train_on_inputs', 'mask_prompt'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Prompts carry loss too.',
  }),
  train_on: optionalKey({
    kind: 'choice', flag: 'train-on', choices: trainOn, defaultText: 'answers (all with train_on_prompt)',
    aka: ['mask_history', 'roles_to_train', 'assistant_only_loss', 'completion_only_loss', 'train_on_responses_only'],
    schema: (z) => z.enum(trainOn), expects: 'answers, last or all',
    describe: 'What carries loss: completions and every turn of the assistant, the last of them alone, or all tokens.',
  }),
  overflow: optionalKey({
    kind: 'choice', flag: 'overflow', choices: overflows, defaultText: 'truncate', aka: ['truncation', 'truncation_side', 'truncation_strategy', 'excess_length_strategy'],
    schema: (z) => z.enum(overflows), expects: 'truncate, truncate_left, keep_answer, drop or split',
    describe: 'Longer rows lose their end, their begin, or what stands before the last answer; are dropped; or are split into several.',
  }),
  stride: optionalKey({
    kind: 'integer', flag: 'stride', defaultText: '0',
    schema: (z) => z.int().min(0), expects: 'an integer of at least 0',
    describe: 'With overflow split: tokens that a part shares with the one before it; they carry loss once.',
  }),
  allow_truncation: key({
    kind: 'boolean', flag: 'allow-truncation', default: false,
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Go on although more than 1 % of the tokens with loss are cut off.',
  }),
  chat_template: optionalKey({
    kind: 'string', flag: 'chat-template', path: 'or name', valueName: '<file|name>',
    schema: (z) => z.string().min(1), expects: 'the path of a template file, or the name of a template',
    describe: "Jinja template for conversations, instead of the model's own: a file, or a name such as chatml, llama3 or mistral.",
  }),
} satisfies SectionRows

const training = {
  method: key({
    kind: 'choice', flag: 'method', table: names.trainers, default: 'lora', aka: ['finetuning_type', 'training_method', 'stage'],
    schema: (z) => z.string().min(1), expects: 'the name of a training method',
    describe: 'What is trained: a LoRA adapter (qlora: on weights in 4 bits), or all weights.',
  }),
  output_dir: key({
    kind: 'string', flag: 'output', path: 'always', valueName: '<folder>', default: './output', aka: ['output', 'output_path', 'save_dir'],
    schema: (z) => z.string().min(1), expects: 'the path of a folder',
    describe: 'Where the adapter or model, checkpoints and logs go.',
  }),
  num_epochs: key({
    kind: 'integer', flag: 'epochs', default: 3, aka: ['epochs', 'num_train_epochs'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Passes over the training rows.',
  }),
  max_steps: optionalKey({
    kind: 'integer', flag: 'max-steps', aka: ['iters', 'steps'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Stop after this many optimizer steps, whatever num_epochs says.',
  }),
  batch_size: key({
    kind: 'integer', flag: 'batch-size', default: 4, aka: ['per_device_train_batch_size', 'micro_batch_size', 'train_batch_size'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Rows in a micro-batch; with packing, windows.',
  }),
  gradient_accumulation_steps: key({
    kind: 'integer', flag: 'gradient-accumulation-steps', default: 1, aka: ['grad_accum', 'gradient_accumulation', 'accumulation_steps'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Micro-batches in an optimizer step.',
  }),
  group_by_length: optionalKey({
    kind: 'boolean', flag: 'group-by-length', defaultText: 'false',
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Rows of like length meet in a step.',
  }),
  learning_rate: key({
    kind: 'number', flag: 'learning-rate', defaultText: '2e-4 (full: 2e-5)', aka: ['lr'],
    default: (read) => (read('training.method') === 'full' ? 2e-5 : 2e-4),
    schema: (z) => z.number().positive().max(1000), expects: 'a number above 0, at most 1000',
    describe: 'Highest learning rate of the schedule.',
  }),
  scheduler: key({
    kind: 'choice', flag: 'scheduler', table: names.schedules, default: 'cosine', aka: ['lr_scheduler', 'lr_scheduler_type', 'schedule'],
    schema: (z) => z.string().min(1), expects: 'the name of a schedule',
    describe: 'How the learning rate goes on after the warmup.',
  }),
  warmup_ratio: key({
    kind: 'number', flag: 'warmup-ratio', defaultText: '0.03 (0 when warmup_steps is set)',
    default: (read) => (read('training.warmup_steps') === undefined ? 0.03 : 0),
    schema: (z) => z.number().min(0).max(1), expects: 'a number from 0 to 1',
    describe: 'Share of the steps over which the learning rate rises from 0.',
  }),
  warmup_steps: optionalKey({
    kind: 'integer', flag: 'warmup-steps', aka: ['num_warmup_steps'],
    schema: (z) => z.int().min(0), expects: 'an integer of at least 0',
    describe: 'Steps of the warmup, instead of warmup_ratio.',
  }),
  weight_decay: key({
    kind: 'number', flag: 'weight-decay', default: 0, aka: ['decay'],
    schema: (z) => z.number().min(0).max(100), expects: 'a number of at least 0, at most 100',
    describe: 'Decoupled weight decay; biases and norm weights are exempt.',
  }),
  max_grad_norm: key({
    kind: 'number', flag: 'max-grad-norm', default: 1, defaultText: '1.0', aka: ['grad_clip', 'gradient_clipping', 'clip_grad_norm'],
    schema: (z) => z.number().min(0), expects: 'a number of at least 0',
    describe: 'Gradients are scaled down to this L2 norm; 0: never.',
  }),
  optimizer: key({
    kind: 'choice', flag: 'optimizer', table: names.optimizers, default: 'adamw', aka: ['optim'],
    schema: (z) => z.string().min(1), expects: 'the name of an optimizer',
    describe: 'The update rule. adamw_8bit keeps its two moments in 8 bits instead of 32; paged_adamw_8bit keeps them also where the system may write them to disk.',
  }),
  adam_beta1: key({
    kind: 'number', flag: 'adam-beta1', default: 0.9, aka: ['beta1'],
    schema: (z) => z.number().min(0).lt(1), expects: 'a number from 0 to below 1',
    describe: 'Decay of the first moment.',
  }),
  adam_beta2: key({
    kind: 'number', flag: 'adam-beta2', default: 0.999, aka: ['beta2'],
    schema: (z) => z.number().min(0).lt(1), expects: 'a number from 0 to below 1',
    describe: 'Decay of the second moment.',
  }),
  adam_epsilon: key({
    kind: 'number', flag: 'adam-epsilon', default: 1e-8, aka: ['epsilon', 'eps'],
    schema: (z) => z.number().positive().max(1), expects: 'a number above 0, at most 1',
    describe: 'Added to the root of the second moment.',
  }),
  gradient_checkpointing: key({
    kind: 'toggle', flag: 'gradient-checkpointing', default: 'auto', aka: ['grad_checkpoint', 'use_gradient_checkpointing'],
    schema: (z) => z.union([z.boolean(), z.literal('auto'), z.int().min(0).max(100_000)]), expects: 'true, false, auto or a number of layers',
    describe: 'Recompute layers in backward to save memory: all, none, or so many of the first. auto: as many as memory needs. The numbers stay the same.',
  }),
  auto_batch: key({
    kind: 'boolean', flag: 'auto-batch', default: false, aka: ['auto_find_batch_size', 'auto_batch_size'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Where memory is short, halve the micro-batches and take as many more of them, instead of failing.',
  }),
  seed: key({
    kind: 'integer', flag: 'seed', default: 42, aka: ['random_seed', 'data_seed'],
    schema: (z) => z.int().min(0), expects: 'an integer of at least 0',
    describe: 'Key of every random choice: initialisation, split, shuffling, dropout.',
  }),
  save_steps: optionalKey({
    kind: 'integer', flag: 'save-steps', defaultText: 'each epoch', aka: ['save_every', 'checkpoint_steps'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Steps between checkpoints.',
  }),
  save_total_limit: key({
    kind: 'integer', flag: 'save-total-limit', default: 3,
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'How many checkpoints are kept, the newest and the best.',
  }),
  eval_steps: optionalKey({
    kind: 'integer', flag: 'eval-steps', defaultText: 'each epoch', aka: ['eval_every', 'steps_per_eval'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Steps between evaluations.',
  }),
  load_best_model_at_end: key({
    kind: 'boolean', flag: 'load-best-model-at-end', default: false, aka: ['load_best_model', 'load_best', 'restore_best'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'End with the weights of the checkpoint that has the lowest evaluation loss; save_steps must then be a multiple of eval_steps.',
  }),
  logging_steps: key({
    kind: 'integer', flag: 'logging-steps', default: 1, aka: ['log_every', 'steps_per_report', 'log_steps'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Steps between entries of log_history.',
  }),
  adapter: optionalKey({
    kind: 'string', flag: 'adapter', path: 'always', valueName: '<folder>', aka: ['adapter_name_or_path', 'lora_model_dir', 'resume_adapter_file'],
    schema: (z) => z.string().min(1), expects: 'the path of a PEFT adapter folder',
    describe: 'Start from this adapter; r, alpha and targets come from its configuration.',
  }),
  resume: key({
    kind: 'optional', flag: 'resume', valueName: '[folder]', default: false, transient: true, aka: ['resume_from_checkpoint'],
    schema: (z) => z.union([z.boolean(), z.string().min(1)]), expects: 'true, false or the path of a checkpoint',
    describe: 'Go on from the newest checkpoint of the output folder, or from this run or checkpoint. Nothing else need be given: the run has its configuration.',
  }),
  overwrite: key({
    kind: 'boolean', flag: 'overwrite', default: false, transient: true, aka: ['overwrite_output_dir'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Replace the run that the output folder holds.',
  }),
  force: key({
    kind: 'boolean', flag: 'force', default: false, transient: true,
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Resume although inputs have changed, or from a checkpoint that others follow (they are deleted); train although memory seems too small.',
  }),
  on_nan: key({
    kind: 'string', flag: 'on-nan', valueName: 'stop|skip:<n>', default: 'stop',
    schema: (z) => z.string().regex(/^(?:stop|skip:[1-9]\d{0,5})$/), expects: 'stop or skip:<n>',
    describe: 'A loss or gradient that is not finite is never applied: stop, or skip up to n steps.',
  }),
  threads: optionalKey({
    kind: 'integer', flag: 'threads', defaultText: 'the physical cores', aka: ['num_threads'],
    schema: (z) => z.int().min(1).max(4096), expects: 'an integer from 1 to 4096',
    describe: 'CPU threads of the engine.',
  }),
} satisfies SectionRows

const lora = {
  r: key({
    kind: 'integer', flag: 'lora-r', default: 16, aka: ['lora_r', 'lora_rank', 'rank'],
    schema: (z) => z.int().min(1).max(65_536), expects: 'an integer of at least 1, at most 65536',
    describe: 'Rank of the adapter.',
  }),
  lora_alpha: key({
    kind: 'number', flag: 'lora-alpha', default: 32, aka: ['alpha'],
    schema: (z) => z.number().positive().max(1e6), expects: 'a number above 0, at most 1000000',
    describe: 'The adapter is scaled by alpha / r.',
  }),
  lora_dropout: key({
    kind: 'number', flag: 'lora-dropout', default: 0, aka: ['dropout'],
    schema: (z) => z.number().min(0).lt(1), expects: 'a number from 0 to below 1',
    describe: "Dropout of the adapter's input.",
  }),
  target_modules: key({
    kind: 'names', flag: 'target-modules', valueName: 'all-linear|<names>|<pattern>', default: 'all-linear', aka: ['lora_target', 'lora_target_modules', 'modules'],
    schema: (z) => z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]), expects: 'all-linear, a list of module names or a regular expression',
    describe: 'Which linear layers get an adapter: all-linear, names (q_proj,v_proj), or a regular expression for the whole module path.',
  }),
  rank_pattern: key({
    kind: 'record', default: {},
    schema: (z) => z.record(z.string().min(1), z.int().min(1).max(65_536)), expects: 'a map from module names or patterns to ranks',
    describe: 'Ranks that differ from r, by module name or pattern.',
  }),
  alpha_pattern: key({
    kind: 'record', default: {},
    schema: (z) => z.record(z.string().min(1), z.number().positive().max(1e6)), expects: 'a map from module names or patterns to alphas',
    describe: 'Alphas that differ from lora_alpha, by module name or pattern.',
  }),
  bias: key({
    kind: 'choice', flag: 'lora-bias', choices: ['none'], default: 'none', aka: ['lora_bias'],
    schema: (z) => z.enum(['none']), expects: 'none',
    describe: 'Which biases are trained.',
  }),
  use_rslora: key({
    kind: 'boolean', flag: 'use-rslora', default: false, aka: ['rslora', 'rs_lora'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Scale by alpha / √r instead of alpha / r.',
  }),
} satisfies SectionRows

const evaluation = {
  batch_size: optionalKey({
    kind: 'integer', flag: 'eval-batch-size', defaultText: 'training.batch_size', aka: ['per_device_eval_batch_size', 'eval_batch_size'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Rows in a batch of an evaluation; with packing, windows.',
  }),
} satisfies SectionRows

const logging = {
  level: key({
    kind: 'choice', flag: 'log-level', choices: levels, default: 'info', aka: ['log_level', 'verbosity'],
    schema: (z) => z.enum(levels), expects: 'error, warn, info or debug',
    describe: 'What the console shows.',
  }),
  file_level: optionalKey({
    kind: 'choice', flag: 'log-file-level', choices: levels, defaultText: 'info (debug when level is)', aka: ['log_file_level'],
    schema: (z) => z.enum(levels), expects: 'error, warn, info or debug',
    describe: 'What training.log and the log file keep, however quiet the console is.',
  }),
  file: optionalKey({
    kind: 'string', flag: 'log-file', path: 'always', valueName: '<file>', aka: ['log_file'],
    schema: (z) => z.string().min(1), expects: 'a path',
    describe: 'Also append the log to this file. training.log in the output folder is written in any case.',
  }),
} satisfies SectionRows

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
