// The engine's C++ tests without Node: `npm run test:native -- [filter]...`, and `npm run test:asan` with
// AddressSanitizer and UndefinedBehaviorSanitizer, in a build folder of its own.
import path from 'node:path'
import { buildCoreTests } from './test/native-build.mjs'
import { report, root, runNativeTests } from './test/runners.mjs'

const args = process.argv.slice(2)
const asan = args.includes('--asan')
const filters = args.filter((arg) => arg !== '--asan')
const folder = path.join(root, 'build', asan ? 'asan' : 'core')

const results = []
try {
  const { program } = buildCoreTests(folder, asan ? ['-DFT_SANITIZE=address,undefined'] : [])
  // LibTorch keeps its operator tables until exit, which LeakSanitizer would report; and new/delete pairs cross
  // its uninstrumented code.
  const env = asan ? { ASAN_OPTIONS: 'detect_leaks=0:strict_string_checks=1:alloc_dealloc_mismatch=0', UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1' } : {}
  results.push(runNativeTests(program, { filters, env, name: asan ? 'asan' : 'native' }))
} catch (error) {
  console.error(error.message)
  results.push({ name: 'build', passed: 0, failed: 1, skipped: [] })
}
process.exit(report(results))
