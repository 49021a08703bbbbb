// Runs one program that prints JSON lines and times what it prints from outside: cold start is the wall time
// from spawn to its first step event, peak memory the larger of what it reports and what the system says.
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'

/** For rates of steps: a checkpoint between them would count as their time. */
export const untilTheEnd = ['--save-steps', '1000000'] as const

export interface Run {
  losses: number[]
  stepSeconds: number[]
  /** Of the rows, no padding. */
  stepTokens: number[]
  /** Tokens with loss. */
  stepSupervised: number[]
  /** From spawn to the first step's event. */
  coldStartSeconds: number
  peakRssBytes: number
}

export interface Command { program: string; args: string[]; env?: Record<string, string> }

export const benchFolder = path.dirname(fileURLToPath(import.meta.url))
export const repository = path.dirname(benchFolder)

/** Where npm run test:interop tells people to install the reference stack. */
const referenceEnvironment = path.join(os.homedir(), 'ft-reference', 'bin', 'python')

/** Interpreter with the reference stack: FT_PYTHON, else the first of these that has it; null where none has. */
export function findPython(): string | null {
  const candidates = process.env.FT_PYTHON ? [process.env.FT_PYTHON] : [referenceEnvironment, 'python3.11', 'python3']
  return candidates.find((candidate) =>
    spawnSync(candidate, ['-c', 'import torch, transformers, peft'], { stdio: 'ignore' }).status === 0) ?? null
}

/** The command line as it is installed. */
export function nativeCli(args: string[]): Command {
  const main = path.join(repository, 'dist', 'cli', 'main.js')
  if (!fs.existsSync(main)) throw new Error(`${main} is missing: npm run build`)
  return { program: process.execPath, args: [main, ...args] }
}

/** A program of bench/children/, which uses the library. */
export function childCommand(name: string, args: string[]): Command {
  return { program: process.execPath, args: ['--import', 'tsx', path.join(benchFolder, 'children', `${name}.ts`), ...args] }
}

export function referenceCommand(python: string, args: string[]): Command {
  return { program: python, args: ['-W', 'ignore', path.join(benchFolder, 'reference.py'), ...args] }
}

/** Runs to the end and returns its JSON lines. Rejects with the program's own words when it fails. */
export async function jsonLines(command: Command, onLine?: (event: Record<string, unknown>, pid: number | undefined) => void): Promise<Record<string, unknown>[]> {
  const child = spawn(command.program, command.args, { cwd: repository, env: { ...process.env, ...command.env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const events: Record<string, unknown>[] = []
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => { complaints = (complaints + chunk.toString()).slice(-4000) })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  const lines = readline.createInterface({ input: child.stdout })
  const watch = setInterval(() => peaks.set(events, Math.max(peaks.get(events) ?? 0, peakOf(child.pid))), 200)
  lines.on('line', (line) => {
    if (!line.startsWith('{')) return
    const event = JSON.parse(line) as Record<string, unknown>
    events.push(event)
    onLine?.(event, child.pid)
  })
  const status = await ended.finally(() => { clearInterval(watch) })
  if (status !== 0) throw new Error(`${command.program} ${command.args.join(' ')}\nended with ${String(status)}:\n${complaints}\n${JSON.stringify(events.at(-1))}`)
  return events
}

const peaks = new WeakMap<object, number>()

function peakOf(pid: number | undefined): number {
  return statusOf(pid, 'VmHWM')
}

/** Bytes of a line of /proc/<pid>/status: VmRSS is what is resident now. 0 where the process has ended, or there is no /proc. */
export function statusOf(pid: number | undefined, line: 'VmHWM' | 'VmRSS'): number {
  try {
    const match = new RegExp(`${line}:\\s+(\\d+) kB`).exec(fs.readFileSync(`/proc/${pid ?? 0}/status`, 'utf8'))
    return match ? Number(match[1]) * 1024 : 0
  } catch {
    return 0
  }
}

/** Runs a training program that prints `step` and `end` events. */
export async function trainingRun(command: Command, onStep?: (pid: number | undefined) => void): Promise<Run> {
  const began = performance.now()
  let coldStartSeconds = NaN
  const events = await jsonLines(command, (event, pid) => {
    if (event.event !== 'step') return
    if (Number.isNaN(coldStartSeconds)) coldStartSeconds = (performance.now() - began) / 1000
    onStep?.(pid)
  })
  const steps = events.filter((event) => event.event === 'step')
  const end = events.find((event) => event.event === 'end')
  if (steps.length === 0 || end === undefined) throw new Error(`${command.program}: no step or end event`)
  return {
    losses: steps.map((event) => Number(event.loss)),
    stepSeconds: steps.map((event) => Number(event.seconds)),
    stepTokens: steps.map((event) => Number(event.tokens)),
    stepSupervised: steps.map((event) => Number(event.supervised_tokens)),
    coldStartSeconds,
    peakRssBytes: Math.max(Number(end.peak_rss_bytes ?? 0), peaks.get(events) ?? 0),
  }
}
