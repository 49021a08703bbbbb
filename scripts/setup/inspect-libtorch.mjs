// What a LibTorch folder is: version, CPU or CUDA, and whether everything that a build needs is in it.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'

const versionHeaders = ['include/torch/headeronly/version.h', 'include/torch/csrc/api/include/torch/version.h']

/** {folder, version, cuda} of a LibTorch folder, or {problem} that says what is missing. */
export function inspectLibTorch(folder) {
  if (!existsSync(folder)) return { problem: `${folder} does not exist` }
  if (!existsSync(path.join(folder, 'include', 'ATen', 'ATen.h'))) return { problem: `${folder} has no include/ATen/ATen.h` }
  const libraries = new Set(existsSync(path.join(folder, 'lib')) ? readdirSync(path.join(folder, 'lib')) : [])
  for (const name of ['torch_cpu', 'c10']) {
    if (![`lib${name}.so`, `lib${name}.dylib`, `${name}.lib`].some((file) => libraries.has(file))) {
      return { problem: `${path.join(folder, 'lib')} has no library ${name}` }
    }
  }
  const version = readVersion(folder)
  if (!version) return { problem: `${folder} has no version header` }
  const cuda = ['libtorch_cuda.so', 'torch_cuda.lib'].some((file) => libraries.has(file))
  return { folder, version, cuda }
}

function readVersion(folder) {
  for (const header of versionHeaders) {
    const file = path.join(folder, header)
    if (!existsSync(file)) continue
    const text = readFileSync(file, 'utf8')
    const parts = ['MAJOR', 'MINOR', 'PATCH'].map((part) => new RegExp(`#define TORCH_VERSION_${part} (\\d+)`).exec(text)?.[1])
    if (parts.every((part) => part !== undefined)) return parts.join('.')
  }
  return undefined
}

/** Negative, zero or positive as a < b, a = b, a > b. */
export function compareVersions(a, b) {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number))
  for (let i = 0; i < 3; i++) {
    if ((left[i] ?? 0) !== (right[i] ?? 0)) return (left[i] ?? 0) - (right[i] ?? 0)
  }
  return 0
}
