// The cache of prepared data sets: a folder with one entry for each, named by what it was made of (key.ts). The entries used longest ago
// go when all of them take more than the limit. Whatever is wrong with the cache costs time and nothing else.
import fs from 'node:fs/promises'
import path from 'node:path'
import { cacheFolder } from '../../utils/cache-folder.js'
import { makeFolder, removePath } from '../../utils/fs.js'
import { getLogger } from '../../utils/logger.js'
import type { PreparedDataset } from '../types.js'
import { readEntry, writeEntry } from './entry.js'
import { Journal } from './journal.js'
import { cacheKey, type KeyParts } from './key.js'

export interface CacheOptions {
  /** Default: datasets in the package's cache folder. */
  folder?: string
  /** Bytes that all entries may take. Default 20 GB. */
  limit?: number
  /** Smaller data sets are as quickly made again. Default 4 MB. */
  leastBytes?: number
}

const defaults = { limit: 20e9, leastBytes: 4e6 }
/** What a killed writer left, or a journal that nobody goes on with. */
const staleMs = 7 * 24 * 3600 * 1000

export class DatasetCache {
  readonly #folder: string
  readonly #limit: number
  readonly #key: string

  private constructor(folder: string, limit: number, key: string) {
    this.#folder = folder
    this.#limit = limit
    this.#key = key
  }

  /** null: this data is not kept. */
  static async open(options: CacheOptions, parts: KeyParts): Promise<DatasetCache | null> {
    const { folder = path.join(cacheFolder(), 'datasets'), limit = defaults.limit, leastBytes = defaults.leastBytes } = options
    const bytes = [...parts.train, ...parts.validation].reduce((sum, file) => sum + file.bytes, 0)
    if (limit <= 0 || bytes < leastBytes) return null
    const key = await quietly('look up', () => cacheKey(parts, path.join(folder, 'files')))
    return key === null ? null : new DatasetCache(folder, limit, key)
  }

  /** null: it has to be made. */
  async find(memoryBudget: number): Promise<PreparedDataset | null> {
    const found = await quietly('read', () => readEntry(this.#entry(), memoryBudget))
    if (found !== null) getLogger().info(`prepared rows come from the cache, ${this.#entry()}; --no-cache makes them anew`)
    return found
  }

  async keep(data: PreparedDataset): Promise<void> {
    await quietly('write', async () => {
      await writeEntry(this.#entry(), data)
      await this.#evict()
      return null
    })
  }

  /** What an earlier run that was killed has tokenized. */
  async journal(): Promise<Journal | null> {
    return await quietly('go on with', async () => {
      await makeFolder(this.#folder)
      return Journal.open(path.join(this.#folder, `${this.#key}.journal`))
    })
  }

  #entry(): string {
    return path.join(this.#folder, this.#key)
  }

  /** Of the others, the ones used longest ago go first. */
  async #evict(): Promise<void> {
    const entries: { path: string; bytes: number; used: number }[] = []
    for (const name of await fs.readdir(this.#folder)) {
      const whole = path.join(this.#folder, name)
      if (/^\.draft-|\.journal(?:\.lock)?$/.test(name)) await removeStale(whole)
      else if (/^[0-9a-f]{64}$/.test(name)) entries.push(await sizeOf(whole))
    }
    let total = entries.reduce((sum, { bytes }) => sum + bytes, 0)
    for (const entry of entries.sort((a, b) => a.used - b.used)) {
      if (total <= this.#limit) return
      if (entry.path === this.#entry() && entries.length > 1 && entry.bytes <= this.#limit) continue
      await removePath(entry.path)
      total -= entry.bytes
    }
  }
}

async function sizeOf(folder: string): Promise<{ path: string; bytes: number; used: number }> {
  const stats = await Promise.all(['tokens.bin', 'index.bin', 'manifest.json'].map((name) => fs.stat(path.join(folder, name)).catch(() => null)))
  return { path: folder, bytes: stats.reduce((sum, stat) => sum + (stat?.size ?? 0), 0), used: stats[2]?.mtimeMs ?? 0 }
}

async function removeStale(target: string): Promise<void> {
  const stat = await fs.stat(target).catch(() => null)
  if (stat !== null && Date.now() - stat.mtimeMs > staleMs) await removePath(target)
}

/** A cache that fails is told of and passed over. */
async function quietly<T>(action: string, work: () => Promise<T | null>): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    getLogger().warn(`cannot ${action} the cache of prepared rows: ${error instanceof Error ? error.message : String(error)}`)
    return null
  }
}
