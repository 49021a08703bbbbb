// Whether the process that left a file behind is still there. Its number alone does not say so: numbers are given out again, soonest
// in a container, where every run may be process 1. A process that started after the file was last touched is another one.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { errnoOf } from './fs.js'

/** Clocks of files and of processes differ by less, in milliseconds. */
const tolerance = 3000
const ticksPerSecond = 100

/** @param touched when the process last touched its file, in milliseconds since the epoch */
export function isOwnerAlive(pid: number, touched: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0 || !isAlive(pid)) return false
  const start = startOf(pid)
  return start === null || start <= touched + tolerance
}

/** Touches a file every few seconds, so that others see that its owner is at work while it writes nothing. */
export function keepTouched(file: string, everyMs = 5000): { stop(): void } {
  const timer = setInterval(() => {
    const now = new Date()
    fs.utimes(file, now, now, () => undefined)
  }, everyMs)
  timer.unref()
  return { stop: () => clearInterval(timer) }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It is there, and somebody else's.
    return errnoOf(error) === 'EPERM'
  }
}

/** Milliseconds since the epoch; null: the system does not tell. */
export function startOf(pid: number): number | null {
  const own = Date.now() - process.uptime() * 1000
  if (pid === process.pid) return own
  const [theirs, ours] = [ticksOf(pid), ticksOf(process.pid)]
  if (theirs !== null && ours !== null) return own + ((theirs - ours) / ticksPerSecond) * 1000
  const seconds = elapsedSeconds(pid)
  return seconds === null ? null : Date.now() - seconds * 1000
}

/** Start since boot (proc(5), field 22 of stat). The name before it may hold spaces and brackets. */
function ticksOf(pid: number): number | null {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    const ticks = Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[19])
    return Number.isFinite(ticks) ? ticks : null
  } catch {
    return null
  }
}

/** [[days-]hours:]minutes:seconds since its start, as POSIX wants it. */
export function elapsedSeconds(pid: number): number | null {
  try {
    const text = execFileSync('ps', ['-o', 'etime=', '-p', String(pid)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 5000 }).trim()
    const match = /^(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)$/.exec(text)
    if (match === null) return null
    const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0))
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
  } catch {
    return null
  }
}
