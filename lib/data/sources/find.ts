// From what a person names as data to the files that are read: training rows, and validation rows where they come along.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fail } from '../../core/errors/index.js'
import { hubScheme, namesHubData } from '../../core/hub-name.js'
import { groupBy } from '../../utils/group.js'
import { getLogger } from '../../utils/logger.js'
import { pipeSource, streamSource, type ByteSource } from '../loaders/bytes.js'
import { findLocalFiles, listFolder, missingFile, type LocalFile } from '../loaders/files.js'
import { DatasetLoaderRegistry } from '../loaders/index.js'
import { libraries } from '../loaders/libraries.js'
import type { LoadOptions } from '../loaders/loader.js'
import { openHubDataset, type KnownCommits } from './hub.js'
import { chooseConfig, chooseSplits, dataConfigs, splitsOf } from './splits.js'
import { isDataSource, settingsOf, type DataInput, type DataSource, type MixStop, type RowSource, type SourceSettings } from './types.js'

export interface DataFile extends LocalFile {
  /** How it is read. */
  read?: LoadOptions
  /** It is rows of a program, and no file. */
  rows?: RowSource
  /** The source it belongs to, where sources are mixed. */
  mix?: { source: number; weight: number; seed: number; stop: MixStop }
}

export interface FindOptions {
  /** For every source that does not say otherwise. */
  settings?: SourceSettings
  /** How sources with weights are interleaved. */
  mix?: { seed?: number; stop?: MixStop }
  /** Of data sets of the hub, shared by what is read together. */
  commits?: KnownCommits
  signal?: AbortSignal
}

export interface DataFiles {
  train: DataFile[]
  /** The validation split of folders and hub data sets; empty where none has one. */
  validation: DataFile[]
}

/** Files in the order given, the matches of a glob sorted. Errors: FT_DATASET, and those of the hub. */
export async function findDataSets(input: DataInput, options: FindOptions = {}): Promise<DataFiles> {
  const sources = sourcesOf(input)
  if (sources.length === 0) fail('FT_DATASET', 'no data file was named', { remedy: 'name one with --data' })
  const weighted = sources.some(({ weight }) => weight !== undefined)
  const found: DataFiles = { train: [], validation: [] }
  const commits: KnownCommits = options.commits ?? new Map<string, string>()
  for (const [index, source] of sources.entries()) {
    const settings = settingsOf(options.settings ?? {}, source)
    const { train, validation } = await filesOf(source, settings, commits, options.signal)
    const mix = weighted ? { source: index, weight: checkWeight(source), seed: options.mix?.seed ?? 0, stop: options.mix?.stop ?? 'first_exhausted' } : undefined
    found.train.push(...train.map((file) => withSettings(file, settings, mix)))
    found.validation.push(...validation.map((file) => withSettings(file, settings)))
  }
  return found
}

/** The training files alone. */
export async function findDataFiles(input: DataInput, options: FindOptions = {}): Promise<DataFile[]> {
  return (await findDataSets(input, options)).train
}

function sourcesOf(input: DataInput): DataSource[] {
  if (typeof input === 'string') return [{ path: input }]
  if (isDataSource(input)) return [input]
  if (Array.isArray(input)) {
    const items = input as readonly unknown[]
    if (items.length === 0 || items.some((item) => typeof item === 'string' || isDataSource(item))) {
      return items.map((item) => (typeof item === 'string' ? { path: item } : isDataSource(item) ? item : fail('FT_INVALID_ARGUMENT', 'a list of data holds paths and sources, or rows alone', { remedy: 'see docs/data.md' })))
    }
  }
  if (typeof input === 'function' || isIterable(input)) return [{ path: input as RowSource }]
  return fail('FT_INVALID_ARGUMENT', 'data is a path, a source { path, weight, … }, a list of these, or rows', { remedy: 'see docs/data.md' })
}

function isIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value)
}

function checkWeight({ weight, path: name }: DataSource): number {
  if (weight === undefined) fail('FT_INVALID_CONFIG', `the source ${typeof name === 'string' ? name : 'of rows'} has no weight, others have`, { remedy: 'give every source a weight, or none' })
  if (!(weight > 0 && Number.isFinite(weight))) fail('FT_INVALID_CONFIG', `a source's weight must be above 0, got ${weight}`, { remedy: 'leave sources out that are not wanted' })
  return weight
}

function withSettings(file: DataFile, settings: SourceSettings, mix?: DataFile['mix']): DataFile {
  const { revision: _revision, config: _config, split: _split, ...format } = settings
  return { ...file, read: { ...format, ...file.read }, ...(mix === undefined ? {} : { mix }) }
}

async function filesOf(source: DataSource, settings: SourceSettings, commits: KnownCommits, signal?: AbortSignal): Promise<DataFiles> {
  const name = source.path
  if (typeof name !== 'string') return { train: [{ path: '(rows)', bytes: 0, rows: name }], validation: [] }
  if (name === '-') return { train: [standardInput()], validation: [] }
  if (name.startsWith(hubScheme)) return await hubFiles(name, settings, commits, signal)
  const local = await findLocalFiles(name)
  if (local === 'folder') return await folderFiles(name, settings)
  if (local !== null) return { train: local.map(({ pipe, ...file }) => (pipe ? { ...file, read: { source: pipeSource(file.path) } } : file)), validation: [] }
  if (namesHubData(name)) return await hubFiles(name, settings, commits, signal)
  return await missingFile(name, 'does not exist')
}

function standardInput(): DataFile {
  if (process.stdin.isTTY) fail('FT_DATASET', 'data was to come from standard input, but nothing is piped into it', { remedy: 'pipe rows into it: cat rows.jsonl | ft-native train --data - …' })
  return { path: '-', bytes: 0, read: { source: streamSource('(standard input)', process.stdin as AsyncIterable<Buffer>) } }
}

async function folderFiles(folder: string, settings: SourceSettings, chosen: readonly string[] | null = null): Promise<DataFiles> {
  const all = await listFolder(folder)
  if (chosen !== null) return { train: chosen.flatMap((name) => all.get(name) ?? []), validation: [] }
  const readme = all.has('README.md') ? await readFile(path.join(folder, 'README.md'), 'utf8').catch(() => '') : ''
  const { train, validation } = chooseDataFiles(folder, [...all.keys()], readmeMetadata(readme), settings)
  const files = (names: readonly string[]): DataFile[] => names.map((name) => all.get(name) as LocalFile)
  return { train: files(train), validation: files(validation) }
}

async function hubFiles(name: string, settings: SourceSettings, commits: KnownCommits, signal?: AbortSignal): Promise<DataFiles> {
  const found = await openHubDataset(name, settings, commits, signal)
  if (!('files' in found)) return await folderFiles(found.folder, settings, found.chosen)
  const paths = [...found.files.keys()]
  const chosen = found.chosen !== null ? { train: found.chosen, validation: [] } : found.converted ? convertedFiles(found.name, paths, settings) : chooseDataFiles(found.name, paths, readmeMetadata(found.readme), settings)
  const files = (list: readonly string[]): DataFile[] => list.map((file) => {
    const { bytes, source } = found.files.get(file) as { bytes: number; source: ByteSource }
    return { path: source.name, bytes, read: { source } }
  })
  return { train: files(chosen.train), validation: files(chosen.validation) }
}

/** <config>/<split>/0000.parquet; a split that was too large is there in part, as "partial-train". */
function convertedFiles(name: string, paths: readonly string[], settings: SourceSettings): { train: string[]; validation: string[] } {
  const configs = [...new Set(paths.flatMap((file) => (/^[^/]+\/[^/]+\/[^/]+\.parquet$/.test(file) ? [file.split('/')[0] as string] : [])))]
  const config = chooseConfig(name, configs.map((one) => ({ name: one, isDefault: one === 'default', dataDir: one, dataFiles: null })), settings.config)
  const ofConfig = paths.filter((file) => file.split('/')[0] === config?.name).sort()
  const splits = groupBy(ofConfig, (file) => (file.split('/')[1] ?? '').replace(/^partial-/, ''))
  return chooseSplits(name, splits, settings.split)
}

/** The splits of a folder or repository, of the one format that most of its files have. */
export function chooseDataFiles(name: string, paths: readonly string[], metadata: unknown, settings: SourceSettings): { train: string[]; validation: string[] } {
  const data = settings.format === undefined ? paths.filter((file) => DatasetLoaderRegistry.forName(file) !== undefined) : paths
  const config = chooseConfig(name, dataConfigs(metadata), settings.config)
  const { train, validation } = chooseSplits(name, splitsOf(data, config), settings.split)
  return settings.format === undefined ? { train: ofOneFormat(name, train), validation: ofOneFormat(name, validation) } : { train, validation }
}

/** JSON and JSONL are one. */
function ofOneFormat(folder: string, files: readonly string[]): string[] {
  const formats = groupBy(files, (file) => DatasetLoaderRegistry.forName(file)?.name.replace(/^jsonl$/, 'json') ?? '')
  const [most = [], ...others] = [...formats.values()].sort((a, b) => b.length - a.length)
  if (others.length > 0) getLogger().warn(`${folder}: ${most.length} files such as ${most[0]} are read; ${others.flat().length} of other formats are not, such as ${others[0]?.[0]}. Name files or a glob to choose others`)
  return most
}

/** The YAML header of a README, or null. */
export function readmeMetadata(text: string): unknown {
  const header = /^---\r?\n([\s\S]*?)\r?\n---\r?(?:\n|$)/.exec(text)?.[1]
  if (header === undefined || header.length > 1 << 20) return null
  try {
    return libraries.yaml().parse(header, { maxAliasCount: 100 }) as unknown
  } catch {
    return null
  }
}
