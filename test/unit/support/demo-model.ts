// The command line on the demo's model, with the addon of this checkout and something on standard input.
import { spawn, type ChildProcess } from 'node:child_process'
import path from 'node:path'
import { cliMain, root, type CliResult } from './cli.js'

export const demoModel = path.join(root, 'examples', 'demo', 'model')
export const demoData = path.join(root, 'examples', 'demo', 'data.jsonl')

/** Small models gain nothing from threads. */
export const quick = ['--threads', '1', '--dtype', 'fp32', '--device', 'cpu']

export interface ModelCliOptions {
  /** What standard input holds. Default: nothing. */
  input?: string
  /** Default: the repository. */
  cwd?: string
  env?: NodeJS.ProcessEnv
  onStart?: (child: ChildProcess) => void
}

export function runModelCli(args: readonly string[], options: ModelCliOptions = {}): Promise<CliResult> {
  const addon = process.env.FT_NATIVE_ADDON ?? path.join(root, 'build', 'Release', 'ft_native.node')
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, FT_NATIVE_ADDON: addon, ...options.env }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cliMain(), ...args], { cwd: options.cwd ?? root, env, stdio: ['pipe', 'pipe', 'pipe'] })
    const result: CliResult = { code: null, signal: null, stdout: '', stderr: '' }
    child.stdout.on('data', (chunk: Buffer) => (result.stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (result.stderr += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ ...result, code, signal }))
    child.stdin.on('error', () => undefined) // it may end before it has read everything
    child.stdin.end(options.input ?? '')
    options.onStart?.(child)
  })
}
