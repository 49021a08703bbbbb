// Finds LibTorch: LIBTORCH → the user's cache → the official wheel → the wheel through pip. The first that
// gives a usable folder wins; what was tried and why it failed is part of the error when none does.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { compareVersions, inspectLibTorch } from './inspect-libtorch.mjs'
import { installWheels } from './install-wheel.mjs'
import { downloadOfficialWheel } from './official.mjs'
import { cacheFolder } from './paths.mjs'
import { libtorchVersion, oldestLibtorch } from './pins.mjs'
import { downloadWheelsWithPip } from './pip.mjs'
import { wantedVariant } from './variant.mjs'
import { SetupError, say } from './report.mjs'

/** → {folder, version, cuda} */
export async function findLibTorch(env = process.env) {
  if (env.LIBTORCH) return fromEnvironment(env.LIBTORCH)
  const { variant, chosenBy } = wantedVariant(env)
  const failures = []
  // A machine with an NVIDIA driver, but no way to the CUDA build, still gets a working CPU build.
  for (const candidate of chosenBy === 'driver' ? [variant, 'cpu'] : [variant]) {
    const found = fromCache(candidate) ?? (await obtain(candidate, failures))
    if (!found) continue
    if (candidate !== variant) say(`no ${variant} build was found: this is the CPU build, CUDA devices are not available`)
    return found
  }
  throw new SetupError(
    `no LibTorch ${libtorchVersion} for ${process.platform}-${process.arch} (${variant}).`,
    `Tried, in order: ${failures.join('; ')}. Give it one by hand: either unpack LibTorch ${libtorchVersion} from ` +
      `https://pytorch.org and set LIBTORCH to its folder; or run \`python3 -m pip install torch==${libtorchVersion}\` and set ` +
      'LIBTORCH to what `python3 -c "import torch; print(torch.__path__[0])"` prints; or, behind a mirror, set ' +
      'PIP_INDEX_URL so that `python3 -m pip download torch` works. Then run `npm install` again. ' +
      'A CMake of at least 3.21 and a C++20 compiler are needed as well.',
  )
}

/** Gets a build from the network into the cache; undefined, with the reasons in `failures`, when it can't. */
async function obtain(variant, failures) {
  const downloads = path.join(cacheFolder(), 'downloads')
  mkdirSync(downloads, { recursive: true })
  for (const [name, get] of [['official wheel', downloadOfficialWheel], ['pip', downloadWheelsWithPip]]) {
    try {
      const wheels = await get(variant, downloads)
      const found = await installWheels(wheels, folderOf(variant))
      for (const wheel of wheels) rmSync(wheel.path, { force: true })
      say(`LibTorch ${found.version} is in ${found.folder}`)
      return found
    } catch (error) {
      if (!(error instanceof SetupError)) throw error
      say(`${name}: ${error.message}`)
      failures.push(`${name}: ${error.message}`)
    }
  }
  return undefined
}

const folderOf = (variant) => path.join(cacheFolder(), `libtorch-${libtorchVersion}-${variant}`)

function fromEnvironment(value) {
  const found = inspectLibTorch(path.resolve(value))
  if (found.problem) {
    throw new SetupError(`LIBTORCH=${value} is not usable: ${found.problem}.`,
      'Set it to an unpacked LibTorch or to the torch folder of a Python install, or unset it to let setup get one.')
  }
  if (compareVersions(found.version, oldestLibtorch) < 0) {
    throw new SetupError(`LIBTORCH=${value} is version ${found.version}.`, `At least ${oldestLibtorch} is needed; ${libtorchVersion} is what is tested.`)
  }
  if (found.version !== libtorchVersion) say(`LIBTORCH is version ${found.version}; ${libtorchVersion} is what is tested`)
  say(`LibTorch ${found.version} from LIBTORCH (${found.folder})`)
  return found
}

/** The cache's folder, when every library that its stamp names is there with its size. */
function fromCache(variant) {
  const folder = folderOf(variant)
  const stampFile = path.join(folder, 'stamp.json')
  if (!existsSync(stampFile)) return undefined
  const problem = stampProblem(folder, stampFile)
  const found = problem ? { problem } : inspectLibTorch(path.join(folder, 'torch'))
  if (found.problem || found.version !== libtorchVersion) {
    say(`the cached LibTorch is not usable (${found.problem ?? `version ${found.version}`}): getting it again`)
    rmSync(folder, { recursive: true, force: true })
    return undefined
  }
  say(`LibTorch ${found.version} from the cache (${found.folder})`)
  return found
}

function stampProblem(folder, stampFile) {
  try {
    for (const { name, size } of JSON.parse(readFileSync(stampFile, 'utf8')).libraries) {
      const file = path.join(folder, name)
      if (!existsSync(file)) return `${name} is missing`
      if (statSync(file).size !== size) return `${name} has another size`
    }
    return undefined
  } catch (error) {
    return `stamp.json: ${error.message}`
  }
}
