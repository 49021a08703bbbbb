// `npm run test:gpu`: builds for CUDA and runs test/gpu on this machine's GPU, the kernels in C++ against float64 and whole
// training runs against the CPU. It needs an NVIDIA GPU, a CUDA build of LibTorch and nvcc, and says which is missing.
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { report, root, run, runMocha, runNativeTests } from './test/runners.mjs'
import { inspectLibTorch } from './setup/inspect-libtorch.mjs'

function stop(message) {
  console.error(message)
  process.exit(1)
}

const gpus = spawnSync('nvidia-smi', ['-L'], { encoding: 'utf8', timeout: 60_000 })
if (gpus.status !== 0 || !/^GPU \d+:/m.test(gpus.stdout)) {
  stop('test:gpu needs an NVIDIA GPU: `nvidia-smi -L` lists none here. `npm test` runs what needs none.')
}
const libtorch = spawnSync(process.execPath, ['scripts/setup.mjs', '--libtorch'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
if (libtorch.status !== 0) process.exit(1)
const found = inspectLibTorch(libtorch.stdout.trim())
if (!found.cuda) {
  stop(`test:gpu needs a CUDA build of LibTorch; ${libtorch.stdout.trim()} is ${found.problem ?? 'a CPU build'}. ` +
    'Set LIBTORCH to the torch folder of a CUDA install: python3 -c "import torch; print(torch.__path__[0])"')
}

const results = []
try {
  console.log(gpus.stdout.trim())
  run(process.execPath, ['scripts/setup.mjs'])
  run(process.execPath, ['scripts/setup.mjs', '--target', 'ft_gpu_tests'])
  results.push(runNativeTests(path.join(root, 'build/Release/ft_gpu_tests'), { name: 'gpu kernels' }))
  const training = runMocha('gpu')
  results.push(training ?? { name: 'gpu', passed: 0, failed: 1, skipped: [], note: 'test/gpu has no tests' })
} catch (error) {
  console.error(error.message)
  results.push({ name: 'build', passed: 0, failed: 1, skipped: [] })
}
process.exit(report(results))
