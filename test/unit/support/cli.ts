// Runs the command line as a process of its own, from lib/ transpiled once into a temporary folder:
// quicker than a TypeScript loader in every process, and current without a build.
import { spawn, type ChildProcess } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..')

export interface CliResult {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface CliOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Called once the process runs. */
  onStart?: (child: ChildProcess) => void
}

const built = new Map<boolean, string>()

/** Path of the transpiled main.js. Without packages, nothing from node_modules can be found from there. */
export function cliMain(options: { packages: boolean } = { packages: true }): string {
  let folder = built.get(options.packages)
  if (folder === undefined) {
    folder = mkdtempSync(path.join(os.tmpdir(), 'ft-cli-build-'))
    built.set(options.packages, folder)
    const made = folder
    process.once('exit', () => rmSync(made, { recursive: true, force: true }))
    const other = built.get(!options.packages)
    if (other === undefined) transpile(folder)
    else cpSync(other, folder, { recursive: true, filter: (file) => path.basename(file) !== 'node_modules' })
    if (options.packages) symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  }
  return path.join(folder, 'dist/cli/main.js')
}

function transpile(target: string): void {
  cpSync(path.join(root, 'package.json'), path.join(target, 'package.json'))
  const source = path.join(root, 'lib')
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue
    const file = path.join(entry.parentPath, entry.name)
    const output = path.join(target, 'dist', path.relative(source, file)).replace(/\.ts$/, '.js')
    mkdirSync(path.dirname(output), { recursive: true })
    const { outputText } = ts.transpileModule(readFileSync(file, 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true },
    })
    writeFileSync(output, outputText)
  }
}

export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return runNode([cliMain(), ...args], options)
}

/** Without colours and without this process's own settings. */
export function runNode(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...options.env }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: options.cwd ?? root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const result: CliResult = { code: null, signal: null, stdout: '', stderr: '' }
    child.stdout.on('data', (chunk: Buffer) => (result.stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (result.stderr += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ ...result, code, signal }))
    options.onStart?.(child)
  })
}
