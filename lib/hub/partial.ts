// The beginning of a download, kept for whoever goes on with it. One process at a time owns it, by its name: a rename takes it
// over, and what a process that has ended left behind can be taken over too. Two processes may, at worst, both download.
import { randomBytes } from 'node:crypto'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { makeFolder, storageError } from '../utils/fs.js'
import { isOwnerAlive, keepTouched } from '../utils/owner.js'

const host = os.hostname().replaceAll(/[^A-Za-z0-9-]/g, '').slice(0, 40) || 'host'
/** A partial of another machine is abandoned when nothing was written to it for so long. */
const abandonedAfter = 3_600_000

/** <oid>.free.part, or <oid>.<host>.<pid>.<random>.part */
interface Owner {
  host: string
  pid: number
}

export interface ClaimedPartial {
  file: string
  /** Its owner is gone, or is no longer seen to work on it. */
  stop(): void
}

/** Another process at the same blob. */
export interface OtherDownload extends Owner {
  bytes: number
  /** Changes as long as it is at work. */
  sign: string
}

/** A file of this process's own that holds as much as is known; `anew`: nothing. Errors: FT_STORAGE. */
export async function claimPartial(blob: string, { anew = false }: { anew?: boolean } = {}): Promise<ClaimedPartial> {
  const file = `${blob}.${host}.${process.pid}.${randomBytes(4).toString('hex')}.part`
  await makeFolder(path.dirname(blob))
  if (!anew) {
    for (const name of await partialsOf(blob)) {
      const left = path.join(path.dirname(blob), name)
      if ((await stateOf(left))?.free !== true) continue
      // It must not look abandoned under its new name. Who is later finds nothing under the old one.
      const now = new Date()
      const taken = await fs.utimes(left, now, now).then(() => fs.rename(left, file)).then(() => true).catch(() => false)
      if (taken) return { file, ...keepTouched(file) }
    }
  }
  try {
    await fs.writeFile(file, '', { flag: 'wx' })
  } catch (error) {
    throw storageError(error, 'write', file)
  }
  return { file, ...keepTouched(file) }
}

/** Leaves it for others; best effort. */
export async function releasePartial(blob: string, mine: string): Promise<void> {
  const info = await fs.stat(mine).catch(() => null)
  if (info !== null && info.size > 0) await fs.rename(mine, `${blob}.free.part`).catch(() => undefined)
  else await fs.rm(mine, { force: true }).catch(() => undefined)
}

/** The other process (or the other call in this one) that downloads the same blob, or null. */
export async function otherDownload(blob: string): Promise<OtherDownload | null> {
  const states = await Promise.all((await partialsOf(blob)).map((name) => stateOf(path.join(path.dirname(blob), name))))
  const busy = states.filter((state) => state !== null && !state.free) as (OtherDownload & { free: boolean })[]
  const [first] = busy.sort((a, b) => b.bytes - a.bytes)
  return first === undefined ? null : { host: first.host, pid: first.pid, bytes: first.bytes, sign: busy.map(({ sign }) => sign).sort().join(' ') }
}

export function describeOther({ host: where, pid }: OtherDownload): string {
  if (where !== host) return `process ${pid} on ${where}`
  return pid === process.pid ? 'this process' : `process ${pid}`
}

async function partialsOf(blob: string): Promise<string[]> {
  const prefix = `${path.basename(blob)}.`
  const names = await fs.readdir(path.dirname(blob)).catch(() => [])
  return names.filter((name) => name.startsWith(prefix) && name.endsWith('.part'))
}

/** null: it is gone. */
async function stateOf(file: string): Promise<(OtherDownload & { free: boolean }) | null> {
  const info = await fs.stat(file).catch(() => null)
  if (info === null) return null
  const owner = ownerOf(path.basename(file)) ?? { host: '', pid: 0 }
  const free = owner.host === host ? !isOwnerAlive(owner.pid, info.mtimeMs) : owner.host === '' || Date.now() - info.mtimeMs > abandonedAfter
  return { ...owner, bytes: info.size, sign: `${path.basename(file)}:${info.size}:${info.mtimeMs}`, free }
}

function ownerOf(name: string): Owner | null {
  const match = /\.([A-Za-z0-9-]+)\.(\d+)\.[0-9a-f]{8}\.part$/.exec(name)
  return match === null ? null : { host: match[1] as string, pid: Number(match[2]) }
}
