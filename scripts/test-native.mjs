// The engine's C++ tests without Node: `npm run test:native -- [filter]...`, and `npm run test:asan` with
// AddressSanitizer and UndefinedBehaviorSanitizer, in a build folder of its own.
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { report, root, run, runNativeTests } from './test/runners.mjs'

const args = process.argv.slice(2)
const asan = args.includes('--asan')
const filters = args.filter((arg) => arg !== '--asan')
const folder = path.join(root, 'build', asan ? 'asan' : 'core')
const libtorch = spawnSync(process.execPath, ['scripts/setup.mjs', '--libtorch'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
if (libtorch.status !== 0) process.exit(1)

const results = []
try {
  const ninja = spawnSync('ninja', ['--version']).status === 0 ? ['-G', 'Ninja'] : []
  const options = [`-DLIBTORCH=${libtorch.stdout.trim()}`, '-DFT_BENCH=OFF', ...(asan ? ['-DFT_SANITIZE=address,undefined'] : [])]
  run('cmake', ['-S', root, '-B', folder, ...ninja, ...options])
  run('cmake', ['--build', folder, '--target', 'ft_core_tests', '--parallel', process.env.FT_BUILD_JOBS ?? '2'])
  // LibTorch keeps its operator tables until exit, which LeakSanitizer would report; and new/delete pairs cross
  // its uninstrumented code.
  const env = asan ? { ASAN_OPTIONS: 'detect_leaks=0:strict_string_checks=1:alloc_dealloc_mismatch=0', UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1' } : {}
  results.push(runNativeTests(path.join(folder, 'ft_core_tests'), { filters, env, name: asan ? 'asan' : 'native' }))
} catch (error) {
  console.error(error.message)
  results.push({ name: 'build', passed: 0, failed: 1, skipped: [] })
}
process.exit(report(results))
