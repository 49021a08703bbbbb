// The beginning of a download, kept for whoever goes on with it. One process at a time owns it, by its name: a rename takes it
// over, and what a process that has ended left behind can be taken over too. Two processes may, at worst, both download.
import { randomBytes } from 'node:crypto'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { makeFolder, storageError } from '../utils/fs.js'

const host = os.hostname().replaceAll(/[^A-Za-z0-9-]/g, '').slice(0, 40) || 'host'
/** A partial of another machine is abandoned when nothing was written to it for so long. */
const abandonedAfter = 3_600_000

/** <oid>.free.part, or <oid>.<host>.<pid>.<random>.part */
interface Owner {
  host: string
  pid: number
}

/** A file of this process's own that holds as much as is known. Errors: FT_STORAGE. */
export async function claimPartial(blob: string): Promise<string> {
  const mine = `${blob}.${host}.${process.pid}.${randomBytes(4).toString('hex')}.part`
  await makeFolder(path.dirname(blob))
  for (const name of await partialsOf(blob)) {
    const file = path.join(path.dirname(blob), name)
    if (!(await isFree(file))) continue
    // Who is later finds nothing under the name.
    const taken = await fs.rename(file, mine).then(() => true).catch(() => false)
    if (taken) return mine
  }
  try {
    await fs.writeFile(mine, '', { flag: 'wx' })
  } catch (error) {
    throw storageError(error, 'write', mine)
  }
  return mine
}

/** Leaves it for others; best effort. */
export async function releasePartial(blob: string, mine: string): Promise<void> {
  const info = await fs.stat(mine).catch(() => null)
  if (info !== null && info.size > 0) await fs.rename(mine, `${blob}.free.part`).catch(() => undefined)
  else await fs.rm(mine, { force: true }).catch(() => undefined)
}

/** True while another process that is alive downloads the same blob. */
export async function isDownloading(blob: string): Promise<boolean> {
  for (const name of await partialsOf(blob)) {
    if (!(await isFree(path.join(path.dirname(blob), name)))) return true
  }
  return false
}

async function partialsOf(blob: string): Promise<string[]> {
  const prefix = `${path.basename(blob)}.`
  const names = await fs.readdir(path.dirname(blob)).catch(() => [])
  return names.filter((name) => name.startsWith(prefix) && name.endsWith('.part'))
}

async function isFree(file: string): Promise<boolean> {
  const owner = ownerOf(path.basename(file))
  if (owner === null) return true
  if (owner.host === host) return !isAlive(owner.pid)
  const info = await fs.stat(file).catch(() => null)
  return info !== null && Date.now() - info.mtimeMs > abandonedAfter
}

function ownerOf(name: string): Owner | null {
  const match = /\.([A-Za-z0-9-]+)\.(\d+)\.[0-9a-f]{8}\.part$/.exec(name)
  return match === null ? null : { host: match[1] as string, pid: Number(match[2]) }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && Reflect.get(error, 'code') === 'EPERM'
  }
}
