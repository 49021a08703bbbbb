// Which files of a folder or hub repository make up which split, as the Python package `datasets` finds it
// (https://huggingface.co/docs/hub/datasets-data-files-configuration): `configs` in the README's metadata, else names
// such as data/train-00000-of-00003.parquet, else a keyword in a folder's or file's name, else everything is train.
import { fail } from '../../core/errors/index.js'
import { groupBy } from '../../utils/group.js'
import { matchPath } from '../loaders/glob.js'

export type Splits = Map<string, string[]>

const keywords: readonly (readonly [string, readonly string[]])[] = [
  ['train', ['train', 'training']],
  ['validation', ['validation', 'valid', 'dev', 'val']],
  ['test', ['test', 'testing', 'eval', 'evaluation']],
]
const part = '[-._ 0-9]'
const inFolder = (keyword: string): string[] => [`**/${keyword}/**`, `**/${keyword}${part}*/**`, `**/*${part}${keyword}/**`, `**/*${part}${keyword}${part}*/**`]
const inFile = (keyword: string): string[] => [`**/${keyword}${part}*`, `**/*${part}${keyword}${part}*`]
const sharded = /^data\/(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*$/
const ignoredNames = new Set(['README.md', 'config.json', 'dataset_info.json', 'dataset_infos.json', 'dataset_dict.json', 'dummy_data.zip'])

/** Without configurations. Paths are relative, with "/". */
export function splitsByName(paths: readonly string[]): Splits {
  const files = visibleFiles(paths)
  const shards = groupBy(files.filter((file) => sharded.test(file)), (file) => sharded.exec(file)?.[1] as string)
  if (shards.size > 0) return shards
  for (const patternsOf of [inFolder, inFile]) {
    const found: Splits = new Map()
    for (const [split, words] of keywords) {
      const matches = filesMatching(files, words.flatMap(patternsOf))
      if (matches.length > 0) found.set(split, matches)
    }
    if (found.size > 0) return found
  }
  return new Map(files.length === 0 ? [] : [['train', files]])
}

/** Hidden files, folders such as __pycache__ and descriptions are no data unless a pattern names them. */
function visibleFiles(paths: readonly string[]): string[] {
  return paths.filter((file) => !file.split('/').some((name) => name.startsWith('.') || name.startsWith('__')) && !ignoredNames.has(file.split('/').pop() ?? '')).sort()
}

function filesMatching(files: readonly string[], patterns: readonly string[]): string[] {
  return files.filter((file) => patterns.some((pattern) => matchPath(pattern, file)))
}

/** One entry of `configs` in a README, as far as it says where data is. */
export interface DataConfig {
  name: string
  isDefault: boolean
  dataDir: string | undefined
  /** split → patterns; null: by name. */
  dataFiles: Map<string, string[]> | null
}

/** `metadata` is the README's YAML header. What it says in another way is passed over, as `datasets` does. */
export function dataConfigs(metadata: unknown): DataConfig[] {
  const configs: unknown = isObject(metadata) ? metadata.configs : undefined
  if (!Array.isArray(configs)) return []
  return configs.flatMap((entry: unknown) => {
    if (!isObject(entry)) return []
    const name = typeof entry.config_name === 'string' ? entry.config_name : 'default'
    return [{ name, isDefault: entry.default === true || name === 'default', dataDir: typeof entry.data_dir === 'string' ? entry.data_dir : undefined, dataFiles: patternsOf(entry.data_files) }]
  })
}

function patternsOf(value: unknown): Map<string, string[]> | null {
  if (value === undefined || value === null) return null
  const entries: [string, unknown][] = Array.isArray(value) && value.every(isObject)
    ? value.map((entry): [string, unknown] => [String(entry.split), entry.path])
    : isObject(value) ? Object.entries(value) : [['train', value]]
  return new Map(entries.map(([split, paths]) => [split, (Array.isArray(paths) ? paths : [paths]).filter((path): path is string => typeof path === 'string')]))
}

/** The configuration that is meant. Errors: FT_DATASET where several are there and none is named. */
export function chooseConfig(name: string, configs: readonly DataConfig[], wanted: string | undefined): DataConfig | undefined {
  const known = configs.map((config) => config.name)
  if (wanted !== undefined) {
    const found = configs.find((config) => config.name === wanted)
    return found ?? fail('FT_DATASET', `${name} has no configuration ${JSON.stringify(wanted)}`, { remedy: known.length === 0 ? 'leave --data-config out' : `one of: ${known.join(', ')}`, details: { configs: known } })
  }
  const chosen = configs.length === 1 ? configs[0] : configs.find((config) => config.isDefault)
  if (configs.length === 0 || chosen !== undefined) return chosen
  return fail('FT_DATASET', `${name} has ${configs.length} configurations`, { remedy: `name one with --data-config: ${known.slice(0, 20).join(', ')}`, details: { configs: known } })
}

/** The files of every split of a configuration. */
export function splitsOf(paths: readonly string[], config: DataConfig | undefined): Splits {
  const folder = config?.dataDir?.replace(/^\.?\/+|\/+$/g, '') ?? ''
  const inside = folder === '' ? paths : paths.filter((file) => file.startsWith(`${folder}/`))
  if (config === undefined || config.dataFiles === null) {
    const relative = splitsByName(inside.map((file) => (folder === '' ? file : file.slice(folder.length + 1))))
    return new Map([...relative].map(([split, files]) => [split, files.map((file) => (folder === '' ? file : `${folder}/${file}`))]))
  }
  const found: Splits = new Map()
  for (const [split, patterns] of config.dataFiles) {
    const files = patterns.flatMap((pattern) => {
      const whole = folder === '' ? pattern.replace(/^\.\//, '') : `${folder}/${pattern}`
      return [...inside].filter((file) => matchPath(whole, file)).sort()
    })
    if (files.length > 0) found.set(split, [...new Set(files)])
  }
  return found
}

const validationNames = ['validation', 'valid', 'val', 'dev', 'eval', 'evaluation', 'test']

export interface ChosenSplits {
  train: string[]
  /** Empty where there is none. */
  validation: string[]
}

/** The split to train on, and the one to evaluate on. Errors: FT_DATASET. */
export function chooseSplits(name: string, splits: Splits, wanted: string | undefined): ChosenSplits {
  const known = [...splits.keys()]
  const [first = 'train'] = known
  const split = wanted ?? (splits.has('train') || known.length !== 1 ? 'train' : first)
  const train = splits.get(split)
  if (train === undefined) {
    return fail('FT_DATASET', known.length === 0 ? `${name} holds no data file` : `${name} has no split ${JSON.stringify(split)}`, {
      remedy: known.length === 0 ? 'JSONL, JSON, CSV, TSV, TXT and Parquet files are read' : `name one with --train-split: ${known.join(', ')}`, details: { splits: known },
    })
  }
  const evaluated = validationNames.find((one) => one !== split && splits.has(one))
  return { train, validation: evaluated === undefined ? [] : (splits.get(evaluated) as string[]) }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
