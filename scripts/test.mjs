// `npm test`: brings the build up to date, then runs every test that needs neither Python nor a GPU: the
// folders of test/ through mocha, each in a process of its own, the engine's C++ tests, and where nvcc is, its compile checks.
//   npm test -- unit binding    only these folders ("native" is the C++ tests and the compile checks)
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { checkCudaSources } from './test/cuda.mjs'
import { report, root, run, runMocha, runNativeTests } from './test/runners.mjs'

const elsewhere = new Set(['fixtures', 'gpu', 'interop', 'native'])
const folders = readdirSync(path.join(root, 'test'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !elsewhere.has(entry.name))
  .map((entry) => entry.name)
  .sort((a, b) => Number(b === 'unit') - Number(a === 'unit') || a.localeCompare(b))

const asked = process.argv.slice(2)
const known = [...folders, 'native']
const unknown = asked.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(', ')}; one of ${known.join(', ')}`)
  process.exit(2)
}
const wanted = asked.length > 0 ? asked : known

function libtorchFolder() {
  const { status, stdout } = spawnSync(process.execPath, ['scripts/setup.mjs', '--libtorch'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (status !== 0) throw new Error('LibTorch was not found')
  return stdout.trim()
}

const results = []
try {
  run(process.execPath, ['scripts/setup.mjs'])
  if (wanted.includes('native')) run(process.execPath, ['scripts/setup.mjs', '--target', 'ft_core_tests'])
  for (const name of wanted) {
    const result = name === 'native' ? runNativeTests(path.join(root, 'build/Release/ft_core_tests')) : runMocha(name)
    if (result) results.push(result)
    const cuda = name === 'native' ? checkCudaSources(libtorchFolder()) : undefined
    if (cuda) results.push(cuda)
  }
} catch (error) {
  console.error(error.message)
  results.push({ name: 'build', passed: 0, failed: 1, skipped: [] })
}
process.exit(report(results))
