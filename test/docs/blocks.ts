// The fenced code blocks of a Markdown file, and a sandbox that looks like a project with ft-native installed.
import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

export interface Block {
  language: string
  text: string
  /** Line of the opening fence, from 1. */
  line: number
}

export function blocksOf(file: string): Block[] {
  const blocks: Block[] = []
  let open: { language: string; line: number; lines: string[] } | null = null
  for (const [index, line] of readFileSync(path.join(root, file), 'utf8').split('\n').entries()) {
    const fence = /^```(\S*)/.exec(line)
    if (fence === null) open?.lines.push(line)
    else if (open === null) open = { language: fence[1] ?? '', line: index + 1, lines: [] }
    else {
      blocks.push({ language: open.language, line: open.line, text: open.lines.join('\n') })
      open = null
    }
  }
  if (open !== null) throw new Error(`${file}:${open.line}: the block is not closed`)
  return blocks
}

export interface Sandbox {
  folder: string
  /** Runs a script with bash, every line of which must succeed. */
  shell(script: string, input?: string): SpawnSyncReturns<string>
  node(...args: string[]): SpawnSyncReturns<string>
  remove(): void
}

/** A folder with ft-native in node_modules, ./model (the demo model) and ./data.jsonl (some of its rows). */
export function makeSandbox(rows = 40): Sandbox {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ft-docs-'))
  const bin = path.join(folder, 'node_modules', '.bin')
  mkdirSync(bin, { recursive: true })
  symlinkSync(root, path.join(folder, 'node_modules', 'ft-native'))
  writeFileSync(path.join(bin, 'ft-native'), `#!/bin/sh\nexec "${process.execPath}" "${path.join(root, 'dist', 'cli', 'main.js')}" "$@"\n`, { mode: 0o755 })
  writeFileSync(path.join(folder, 'package.json'), '{"name": "sandbox", "private": true, "type": "module"}\n')
  cpSync(path.join(root, 'examples', 'demo', 'model'), path.join(folder, 'model'), { recursive: true })
  const lines = readFileSync(path.join(root, 'examples', 'demo', 'data.jsonl'), 'utf8').split('\n').slice(0, rows)
  writeFileSync(path.join(folder, 'data.jsonl'), `${lines.join('\n')}\n`)
  const env = { ...process.env, npm_config_offline: 'true', npm_config_yes: 'false', npm_config_update_notifier: 'false', NO_COLOR: '1' }
  const run = (command: string, args: string[], input = ''): SpawnSyncReturns<string> =>
    spawnSync(command, args, { cwd: folder, env, input, encoding: 'utf8', timeout: 240_000 })
  return {
    folder,
    shell: (script, input) => run('bash', ['-euo', 'pipefail', '-c', script], input),
    node: (...args) => run(process.execPath, args),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
