// Files of this machine that a data path names: a file, a glob, or what is in a folder. What is missing is answered with
// what is there.
import { readdir, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { fail, suggest } from '../../core/errors/index.js'
import { expandGlob, isGlob } from './glob.js'
import { readError } from './read-error.js'

export interface LocalFile {
  path: string
  bytes: number
  /** A named pipe, as a shell's <(command) is: it can be read once. */
  pipe?: true
}

/** In a folder, beyond which something else than a data set is meant. */
const mostEntries = 100_000

/** null: nothing is there, and it is no glob. Errors: FT_DATASET. */
export async function findLocalFiles(name: string): Promise<LocalFile[] | 'folder' | null> {
  const literal = await kindOf(name)
  if (literal === 'folder') return literal
  if (literal === 'pipe') return [{ path: name, bytes: 0, pipe: true }]
  if (literal !== null) return [{ path: name, bytes: literal }]
  if (!isGlob(name)) return null
  const matches = await expandGlob(name)
  if (matches.length === 0) await missingFile(name, 'matches no file')
  const files: LocalFile[] = []
  for (const match of matches) {
    const bytes = await kindOf(match)
    if (typeof bytes === 'number') files.push({ path: match, bytes })
  }
  return files
}

/** Bytes of a file; null where nothing is. */
async function kindOf(file: string): Promise<number | 'folder' | 'pipe' | null> {
  if (file.includes('\0')) fail('FT_DATASET', 'a data path contains NUL', { remedy: 'check the path' })
  try {
    const info = await stat(file)
    return info.isDirectory() ? 'folder' : info.isFIFO() ? 'pipe' : info.size
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR' || (code === 'ENAMETOOLONG' && isGlob(file))) return null
    throw readError(file, error)
  }
}

/** All files below a folder by their relative path with "/". Errors: FT_DATASET, also for a link that leads out of it. */
export async function listFolder(folder: string): Promise<Map<string, LocalFile>> {
  const root = await realpath(folder)
  const allowed = [root, ...cacheBlobs(root)]
  const found = new Map<string, LocalFile>()
  const walk = async (below: string): Promise<void> => {
    for (const entry of await readdir(path.join(folder, below), { withFileTypes: true })) {
      const relative = below === '' ? entry.name : `${below}/${entry.name}`
      if (found.size >= mostEntries) fail('FT_DATASET', `the folder ${folder} holds more than ${mostEntries} files`, { remedy: 'name the files by a glob', details: { path: folder } })
      if (entry.isDirectory()) {
        await walk(relative)
      } else if (entry.isFile() || entry.isSymbolicLink()) {
        const file = path.join(folder, relative)
        const real = await realpath(file).catch(() => null)
        if (real === null) continue
        if (!allowed.some((one) => real === one || real.startsWith(one + path.sep))) {
          fail('FT_DATASET', `${file} is a link that leads out of the folder`, { remedy: 'name the file it leads to, if you want it', details: { path: file } })
        }
        const bytes = await kindOf(file)
        // A linked folder might lead around in circles.
        if (typeof bytes === 'number') found.set(relative, { path: file, bytes })
      }
    }
  }
  try {
    await walk('')
  } catch (error) {
    throw readError(folder, error)
  }
  return found
}

/** The files of a snapshot in the Hugging Face cache are links to blobs beside it. */
function cacheBlobs(root: string): string[] {
  const match = /^(.*)[\\/]snapshots[\\/][0-9a-f]{40}(?:$|[\\/])/.exec(root)
  return match === null ? [] : [path.join(match[1] as string, 'blobs')]
}

export async function missingFile(wanted: string, what: string): Promise<never> {
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
