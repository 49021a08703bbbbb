// Which files a data path names: a file, or a glob of files. What is missing is answered with what is there.
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { fail, suggest } from '../../core/errors/index.js'
import { expandGlob, isGlob } from './glob.js'
import { readError } from './read.js'

export interface DataFile {
  path: string
  bytes: number
}

/** In the order given, the matches of a glob sorted. Errors: FT_DATASET. */
export async function findDataFiles(paths: string | readonly string[]): Promise<DataFile[]> {
  const list = typeof paths === 'string' ? [paths] : paths
  if (list.length === 0) fail('FT_DATASET', 'no data file was named', { remedy: 'name one with --data' })
  const files: DataFile[] = []
  for (const one of list) {
    const literal = await sizeOf(one)
    if (literal !== null) {
      files.push({ path: one, bytes: literal })
    } else if (isGlob(one)) {
      const matches = await expandGlob(one)
      if (matches.length === 0) await missing(one, 'matches no file')
      for (const match of matches) {
        const bytes = await sizeOf(match)
        if (bytes !== null) files.push({ path: match, bytes })
      }
    } else {
      await missing(one, 'does not exist')
    }
  }
  return files
}

/** null: nothing is there. */
async function sizeOf(file: string): Promise<number | null> {
  if (file.includes('\0')) fail('FT_DATASET', 'a data path contains NUL', { remedy: 'check the path' })
  try {
    const info = await stat(file)
    if (info.isDirectory()) {
      fail('FT_DATASET', `${file} is a folder, not a data file`, {
        remedy: `name the files in it, for example ${path.join(file, '*.jsonl')}`,
        details: { path: file },
      })
    }
    return info.size
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR' || (code === 'ENAMETOOLONG' && isGlob(file))) return null
    throw readError(file, error)
  }
}

async function missing(wanted: string, what: string): Promise<never> {
  let folder = path.dirname(wanted)
  while (isGlob(folder)) folder = path.dirname(folder)
  const there = await readdir(folder).catch(() => null)
  const remedy = there === null ? `the folder ${folder} does not exist either` : describe(folder, wanted, there)
  return fail('FT_DATASET', `the data file ${wanted} ${what}`, { remedy, details: { path: wanted, nearby: there?.slice(0, 50) ?? [] } })
}

function describe(folder: string, wanted: string, there: readonly string[]): string {
  const [near] = suggest(path.basename(wanted), there)
  if (near !== undefined) return `did you mean ${path.join(folder, near)}?`
  const data = there.filter((name) => /\.(jsonl|ndjson|json|csv|tsv|txt|parquet)(\.gz|\.zst)?$/i.test(name)).sort()
  if (data.length === 0) return `no data file is in ${folder}: check the path`
  return `in ${folder}: ${data.slice(0, 10).join(', ')}${data.length > 10 ? ' …' : ''}`
}
