// What a file holds, as its SHA-256. A file that has not changed since it was hashed (size, times, number) is not read again; what was
// changed within the resolution of its own time stamp is never trusted.
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { makeFolder, sha256File, writeFileAtomic } from '../../utils/fs.js'

/** A file whose time is younger than this when it is hashed may change again without a new time. */
const settledMs = 2000

interface Remembered {
  stat: string
  sha256: string
}

/** null: it is no ordinary file. `folder`: where hashes are remembered. */
export async function contentOf(file: string, folder: string): Promise<string | null> {
  const stat = await fs.stat(file, { bigint: true }).catch(() => null)
  if (stat === null || !stat.isFile()) return null
  const print = [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ')
  const memory = path.join(folder, `${createHash('sha256').update(path.resolve(file)).digest('hex')}.json`)
  const known = await readMemory(memory)
  if (known?.stat === print) return known.sha256
  const sha256 = await sha256File(file)
  const settled = Date.now() - Number(stat.mtimeNs / 1_000_000n) > settledMs
  const after = await fs.stat(file, { bigint: true }).catch(() => null)
  const unchanged = after !== null && [after.dev, after.ino, after.size, after.mtimeNs, after.ctimeNs].join(' ') === print
  if (settled && unchanged) {
    await makeFolder(folder)
    await writeFileAtomic(memory, JSON.stringify({ stat: print, sha256 } satisfies Remembered))
  }
  return sha256
}

async function readMemory(file: string): Promise<Remembered | null> {
  try {
    const { stat, sha256 } = JSON.parse(await fs.readFile(file, 'utf8')) as Partial<Remembered>
    return typeof stat === 'string' && typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256) ? { stat, sha256 } : null
  } catch {
    return null
  }
}
