// From downloaded wheels to a LibTorch folder in the cache: unpacked into a temporary folder beside it, then
// renamed, so that a folder with the final name is complete. Two installs at once are safe: the first wins.
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { inspectLibTorch } from './inspect-libtorch.mjs'
import { SetupError, progress } from './report.mjs'
import { unpackWheel, unpackedSize } from './wheel.mjs'

const unusedLibraries = /^(lib)?(torch_python|torchbind_test|jitbackend_test|backend_with_compiler|aoti_custom_ops|shm|torch_global_deps)\b/

/** Headers, CMake files and the libraries that a C++ program links or loads; no Python, no tests. */
export function isWanted(name) {
  if (name.startsWith('torch/include/') || name.startsWith('torch/share/cmake/')) return !name.startsWith('torch/include/pybind11/')
  if (/^torch\/lib\/[^/]+\.(so(\.[\d.]+)?|dylib|dll|lib)$/.test(name)) return !unusedLibraries.test(path.posix.basename(name))
  // Of NVIDIA's wheels: the libraries, and the headers of the CUDA runtime.
  if (/^nvidia\/(cu\d+|cuda_runtime)\/include\//.test(name)) return true
  return /^nvidia\/.+\/(lib|bin)\/[^/]+\.(so(\.[\d.]+)?|dll)$/.test(name)
}

/** wheels: [{path}], torch first → {folder, version, cuda} */
export async function installWheels(wheels, target) {
  mkdirSync(path.dirname(target), { recursive: true })
  const scratch = mkdtempSync(`${target}.part-`)
  try {
    let total = 0
    for (const wheel of wheels) total += await unpackedSize(wheel.path, isWanted)
    const bar = progress('unpacking', total)
    const files = []
    let done = 0
    for (const wheel of wheels) {
      files.push(...(await unpackWheel(wheel.path, scratch, isWanted, (bytes) => bar.update(done + bytes))))
      done = files.reduce((sum, file) => sum + file.size, 0)
    }
    bar.end()
    const found = inspectLibTorch(path.join(scratch, 'torch'))
    if (found.problem) throw new SetupError(`the wheel is not a usable LibTorch: ${found.problem}`)
    const stamp = { version: found.version, cuda: found.cuda, torch: 'torch', from: wheels.map((wheel) => path.basename(wheel.path)),
      libraries: files.filter((file) => !file.name.startsWith('torch/include/') && !file.name.startsWith('torch/share/')) }
    writeFileSync(path.join(scratch, 'stamp.json'), JSON.stringify(stamp, null, 1) + '\n')
    replaceFolder(scratch, target)
    return { ...found, folder: path.join(target, 'torch') }
  } catch (error) {
    if (error.code === 'ENOSPC') throw new SetupError(`no space left in ${path.dirname(target)}`, 'About 700 MB are needed; FT_NATIVE_CACHE names another folder.', { cause: error })
    throw error
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function replaceFolder(scratch, target) {
  try {
    renameSync(scratch, target)
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST' && error.code !== 'EPERM') throw error
    // Somebody else installed meanwhile, or a damaged folder is in the way.
    if (existsSync(path.join(target, 'stamp.json')) && !inspectLibTorch(path.join(target, 'torch')).problem) return
    rmSync(target, { recursive: true, force: true })
    renameSync(scratch, target)
  }
}
