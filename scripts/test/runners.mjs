// The test runners: mocha over one folder of test/, and the engine's C++ tests. Each returns
// {name, passed, failed, skipped: [titles]}; a runner that dies without a summary counts as a failure.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

/** Runs a command in the package's folder, output as it comes; throws when it fails. */
export function run(command, args, env = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
  if (status !== 0) throw new Error(`${path.basename(command)} ${args.join(' ')} failed`)
}

/** Every *.test.ts below test/<kind>; undefined where there is no such file. */
export function runMocha(kind, extra = []) {
  const folder = path.join(root, 'test', kind)
  const files = existsSync(folder) ? readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.test.ts')) : []
  if (files.length === 0) return undefined
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'ft-native-test-'))
  const summary = path.join(scratch, 'summary.json')
  try {
    console.log(`\n# ${kind}`)
    const mocha = path.join(root, 'node_modules', 'mocha', 'bin', 'mocha.js')
    const { status, signal } = spawnSync(
      process.execPath,
      [mocha, '--reporter', path.join(root, 'scripts', 'test', 'reporter.cjs'), ...extra, `test/${kind}/**/*.test.ts`],
      { cwd: root, stdio: 'inherit', env: { ...process.env, FT_TEST_SUMMARY: summary } },
    )
    if (!existsSync(summary)) return { name: kind, passed: 0, failed: 1, skipped: [], note: `ended without a summary (${signal ?? `exit ${status}`})` }
    const result = JSON.parse(readFileSync(summary, 'utf8'))
    // A crash after the last test (a handle freed twice, say) is a failure too.
    const crashed = status !== 0 && result.failed === 0
    return { name: kind, passed: result.passed, failed: result.failed + (crashed ? 1 : 0), skipped: result.skipped,
      ...(crashed ? { note: `ended with ${signal ?? `exit ${status}`} after its tests` } : {}) }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Runs ft_core_tests and reads its last line. */
export function runNativeTests(program, { filters = [], env = {}, name = 'native' } = {}) {
  console.log(`\n# ${name}`)
  const { stdout, status, signal } = spawnSync(program, filters, {
    cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28, env: { ...process.env, ...env },
  })
  process.stdout.write(stdout ?? '')
  const match = /(\d+) passed, (\d+) failed, (\d+) skipped\s*$/.exec(stdout ?? '')
  if (!match) return { name, passed: 0, failed: 1, skipped: [], note: `ended without a summary (${signal ?? `exit ${status}`})` }
  const skipped = [...stdout.matchAll(/^skipped (.+)$/gm)].map((line) => line[1])
  const failed = Number(match[2])
  return { name, passed: Number(match[1]), failed: failed + (status !== 0 && failed === 0 ? 1 : 0), skipped }
}

/**
 * Prints what was skipped and the sum, and returns the exit status. With FT_FORBID_SKIPS=1 a skipped test
 * counts as failed.
 */
export function report(results) {
  const passed = results.reduce((sum, result) => sum + result.passed, 0)
  const skipped = results.flatMap((result) => result.skipped.map((title) => `${result.name}: ${title}`))
  const forbidden = process.env.FT_FORBID_SKIPS === '1' ? skipped.length : 0
  const failed = results.reduce((sum, result) => sum + result.failed, 0) + forbidden
  console.log('')
  for (const result of results) console.log(`${result.name}: ${result.passed} passed, ${result.failed} failed${result.note ? ` (${result.note})` : ''}`)
  for (const title of skipped) console.log(`skipped ${title}${forbidden ? ' (not allowed here)' : ''}`)
  console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
  return failed > 0 || passed === 0 ? 1 : 0
}
