// Runs every generator (scripts/generate-*), each of which writes one file from one table.
// `npm run generate -- --check` writes nothing and fails when a file is not current.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const scripts = path.dirname(fileURLToPath(import.meta.url))
let failed = 0
for (const name of readdirSync(scripts).filter((file) => /^generate-.+\.(mjs|ts)$/.test(file)).sort()) {
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', path.join(scripts, name), ...process.argv.slice(2)], {
    stdio: 'inherit',
    cwd: path.dirname(scripts),
  })
  if (status !== 0) {
    console.error(`${name} failed`)
    failed++
  }
}
process.exit(failed > 0 ? 1 : 0)
