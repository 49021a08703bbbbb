// The last step of every generator: writes the file, or with --check says whether it is current.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** @param {string} file @param {string} wanted */
export function checkOrWrite(file, wanted, check = process.argv.includes('--check')) {
  if (!check) {
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, wanted)
    return
  }
  let found = ''
  try { found = readFileSync(file, 'utf8') } catch { /* absent counts as not current */ }
  if (found === wanted) return
  console.error(`${path.relative(process.cwd(), file)} is not current: run \`npm run generate\``)
  process.exitCode = 1
}
