// A lock that a process takes by making a file, with its number in it; that of a process which is gone is taken over.
import fs from 'node:fs'
import { isOwnerAlive } from '../../utils/owner.js'

/** null: another process has it. */
export function takeLock(file: string): { release(): void } | null {
  for (let tries = 0; tries < 2; tries++) {
    try {
      const descriptor = fs.openSync(file, 'wx')
      fs.writeSync(descriptor, `${process.pid}`)
      fs.closeSync(descriptor)
      return { release: () => fs.rmSync(file, { force: true }) }
    } catch {
      if (isHeld(file)) return null
      fs.rmSync(file, { force: true })
    }
  }
  return null
}

function isHeld(file: string): boolean {
  try {
    const text = fs.readFileSync(file, 'utf8')
    const { mtimeMs } = fs.statSync(file)
    // Just made, and not written yet.
    return text === '' ? Date.now() - mtimeMs < 10_000 : isOwnerAlive(Number(text), mtimeMs)
  } catch {
    return false
  }
}
