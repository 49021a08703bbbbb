// ft_core_tests in a build folder of its own, by plain CMake. Throws when a step fails.
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { root, run } from './runners.mjs'

/** Returns { program, libtorch }. */
export function buildCoreTests(folder, options = []) {
  const found = spawnSync(process.execPath, ['scripts/setup.mjs', '--libtorch'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (found.status !== 0) throw new Error('there is no LibTorch to build against')
  const libtorch = found.stdout.trim()
  const ninja = spawnSync('ninja', ['--version']).status === 0 ? ['-G', 'Ninja'] : []
  run('cmake', ['-S', root, '-B', folder, ...ninja, `-DLIBTORCH=${libtorch}`, '-DFT_BENCH=OFF', ...options])
  run('cmake', ['--build', folder, '--target', 'ft_core_tests', '--parallel', process.env.FT_BUILD_JOBS ?? '2'])
  return { program: path.join(folder, 'ft_core_tests'), libtorch }
}
