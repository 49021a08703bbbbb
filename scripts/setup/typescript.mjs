// Compiles lib/ to dist/ in a source checkout. A published package ships dist/ and has no lib/.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { packageRoot } from './paths.mjs'
import { SetupError, say } from './report.mjs'

export function buildTypeScript() {
  const lib = path.join(packageRoot, 'lib')
  const dist = path.join(packageRoot, 'dist')
  if (!existsSync(path.join(packageRoot, 'tsconfig.json')) || !existsSync(lib)) return
  const compiler = resolveCompiler()
  if (!compiler) {
    if (existsSync(path.join(dist, 'index.js'))) return
    throw new SetupError('TypeScript is not installed and dist/ is missing.', 'Run `npm install --include=dev`, or install the published package.')
  }
  removeOrphans(dist, lib)
  const status = spawnSync(process.execPath, [compiler, '-p', path.join(packageRoot, 'tsconfig.json')], { stdio: ['ignore', 2, 2] }).status
  if (status !== 0) throw new SetupError('compiling TypeScript failed; the messages are above.')
  const program = path.join(dist, 'cli', 'main.js')
  if (existsSync(program)) chmodSync(program, 0o755)
  say('TypeScript is compiled to dist/')
}

function resolveCompiler() {
  try {
    return createRequire(path.join(packageRoot, 'package.json')).resolve('typescript/bin/tsc')
  } catch {
    return undefined
  }
}

/** Removes compiled files whose source is gone, which tsc leaves behind. */
function removeOrphans(dist, lib) {
  if (!existsSync(dist)) return
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const match = /^(.*?)(\.d\.ts|\.js\.map|\.js)$/.exec(entry.name)
    if (!entry.isFile() || !match) continue
    const folder = path.join(lib, path.relative(dist, entry.parentPath ?? entry.path))
    if (!existsSync(path.join(folder, `${match[1]}.ts`))) {
      rmSync(path.join(entry.parentPath ?? entry.path, entry.name))
      // The build information would make tsc believe that a restored source is compiled.
      rmSync(path.join(dist, '.tsbuildinfo'), { force: true })
    }
  }
}
