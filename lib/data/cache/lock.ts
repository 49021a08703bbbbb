// A lock that a process takes by making a file, with its number in it; that of a process which is gone is taken over.
import fs from 'node:fs'

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
  let pid: number
  try {
    const text = fs.readFileSync(file, 'utf8')
    // Just made, and not written yet.
    if (text === '') return Date.now() - fs.statSync(file).mtimeMs < 10_000
    pid = Number(text)
  } catch {
    return false
  }
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It is there, and somebody else's.
    return error instanceof Error && Reflect.get(error, 'code') === 'EPERM'
  }
}
