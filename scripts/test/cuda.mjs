// The CUDA kernels as far as a machine without a GPU can check them: nvcc compiles every .cu file, and a syntax check of
// what calls them uses the headers of any LibTorch. What has not changed since it last passed is not compiled again.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { root } from './runners.mjs'

const kernels = 'native/core/kernels/cuda'
// The oldest architecture that has bf16 and flash attention, and the one of H100 and H200.
const architectures = ['80', '90'].flatMap((name) => ['-gencode', `arch=compute_${name},code=sm_${name}`])

/** CUDACXX, CUDA_HOME, the PATH, the usual place; undefined where there is no nvcc. */
function findNvcc(env = process.env) {
  const candidates = [env.CUDACXX, env.CUDA_HOME && path.join(env.CUDA_HOME, 'bin', 'nvcc'), 'nvcc', '/usr/local/cuda/bin/nvcc'].filter(Boolean)
  for (const program of candidates) {
    const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' })
    if (status === 0) return { program, version: stdout }
  }
  return undefined
}

/** {name, passed, failed, skipped} of the compile checks; undefined, and a line that says so, without nvcc. */
export function checkCudaSources(libtorch) {
  console.log('\n# cuda')
  const nvcc = findNvcc()
  if (!nvcc) {
    console.log('nvcc was not found: the CUDA kernels were run in emulation (native), but not compiled for a GPU')
    return undefined
  }
  const sources = readdirSync(path.join(root, kernels)).sort().map((name) => `${kernels}/${name}`)
  const result = { name: 'cuda', passed: 0, failed: 0, skipped: [] }
  const check = (name, files, args, input) => {
    const passed = compile(nvcc, name, files, args, input)
    if (passed) result.passed++
    else result.failed++
  }
  const headers = [...sources.filter((file) => file.endsWith('.h')), 'native/core/base/activation.h', 'native/core/kernels/adamw_factors.h']
  for (const file of sources.filter((name) => name.endsWith('.cu'))) {
    check(file, [...headers, file], ['-std=c++17', '--threads', '2', ...architectures, '-I', 'native', file])
  }
  // One file that includes the others: LibTorch's headers cost ten seconds, so they are read once.
  const callers = [...sources.filter((file) => file.endsWith('.cpp')), 'test/gpu/kernels_test.cpp']
  const everything = readdirSync(path.join(root, 'native/core'), { recursive: true }).filter((name) => name.endsWith('.h')).map((name) => `native/core/${name}`)
  check('the calls from tensors, syntax alone', [...everything.sort(), ...callers], [
    '-std=c++20', '-Xcompiler', '-fsyntax-only', '-DFMT_HEADER_ONLY=1', '-DFT_WITH_CUDA=1', '-DFT_WITH_CUDA_KERNELS=1',
    '-DC10_CUDA_NO_CMAKE_CONFIGURE_FILE', '-I', 'native', '-I', 'test/native', '-isystem', path.join(libtorch, 'include'),
    '-isystem', path.join(libtorch, 'include/torch/csrc/api/include'),
  ], callers.map((file) => `#include "${path.join(root, file)}"\n`).join(''))
  return result
}

/** Compiles `args`, or with `input` a file of that text, unless the same has passed before. */
function compile(nvcc, name, files, args, input) {
  const hash = createHash('sha256').update(JSON.stringify([nvcc.version, args, input ?? '']))
  for (const file of files) hash.update(file).update('\0').update(readFileSync(path.join(root, file))).update('\0')
  const folder = path.join(root, 'build', 'cuda-check')
  const stamp = path.join(folder, `${path.basename(name).replaceAll(/[^\w.]+/g, '-')}-${hash.digest('hex').slice(0, 24)}`)
  if (existsSync(stamp)) {
    console.log(`ok      ${name} (unchanged)`)
    return true
  }
  mkdirSync(folder, { recursive: true })
  const source = path.join(folder, `check-${process.pid}.cpp`)
  const object = path.join(os.tmpdir(), `ft-native-cuda-${process.pid}.o`)
  if (input !== undefined) writeFileSync(source, input)
  const started = Date.now()
  try {
    const { status } = spawnSync(nvcc.program, ['-c', '-o', object, ...args, ...(input === undefined ? [] : [source])], { cwd: root, stdio: 'inherit' })
    if (status === 0) writeFileSync(stamp, '')
    console.log(`${status === 0 ? 'ok     ' : 'FAILED '} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
    return status === 0
  } finally {
    rmSync(source, { force: true })
    rmSync(object, { force: true })
  }
}
