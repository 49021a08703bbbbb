// Where rows come from, how they are read, filtered, mixed and split.
import { names } from '../../registry.js'
import type { Zod } from '../../zod.js'
import { key, optionalKey, requiredKey, type SectionRows } from '../row.js'

const badRows = ['stop', 'skip'] as const
const sampleBys = ['line', 'paragraph', 'file'] as const
const mixStops = ['first_exhausted', 'all_exhausted'] as const
const splits = ['random', 'hash', 'group'] as const

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

export const dataset = {
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
    kind: 'number', flag: 'max-unpack-ratio', defaultText: '100',
    schema: (z) => z.number().positive(), expects: 'a number above 0',
    describe: 'An archive or Parquet file that unpacks to more than so many times its size is refused, beyond 64 MiB.',
  }),
  max_unpacked_bytes: optionalKey({
    kind: 'integer', flag: 'max-unpacked-bytes', defaultText: 'no limit',
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
    schema: (z) => z.record(z.string().min(1), z.union([z.string().min(1), z.array(z.string().min(1)).min(1)])), expects: 'a map from fields of a row shape to columns of the data: {"text": "body"}',
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
    describe: 'Reading ends with so many rows that filters and overflow leave.',
  }),
  max_row_characters: optionalKey({
    kind: 'integer', flag: 'max-row-characters', defaultText: '2097152', aka: ['max_row_length', 'max_characters'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'A row of more characters is a bad row: tokenizing one takes some 250 bytes of memory a character.',
  }),
  on_bad_row: key({
    kind: 'choice', flag: 'on-bad-row', choices: badRows, default: 'stop',
    schema: (z) => z.enum(badRows), expects: 'stop or skip',
    describe: 'A row that cannot be read stops the run, or is skipped and counted (more than 1 % is an error).',
  }),
} satisfies SectionRows
