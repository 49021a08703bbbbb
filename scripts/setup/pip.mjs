// The torch wheel through `python3 -m pip download`: follows the user's pip configuration (mirrors, proxies,
// local folders), and pip checks the sums that the index publishes. A CUDA build needs NVIDIA's libraries
// as wheels of their own, so for it the dependencies are fetched too.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { sha256OfFile } from './download.mjs'
import { cpuWheels, libtorchVersion, wheelIndex } from './pins.mjs'
import { SetupError, say } from './report.mjs'
import { isCudaWheel } from './wheel.mjs'

/** → [{path}]: torch first, then NVIDIA's wheels where the build needs them. */
export async function downloadWheelsWithPip(variant, folder) {
  const pythons = findPythons()
  if (pythons.length === 0) throw new SetupError('no python3 with pip was found')
  const scratch = mkdtempSync(path.join(folder, 'pip-'))
  try {
    let files
    for (const python of pythons) {
      files = runPip(python, variant, scratch, { dependencies: variant !== 'cpu' })
      if (files) break
    }
    if (!files) throw new SetupError(`pip found no wheel of torch ${libtorchVersion} (${variant})`)
    const torch = files.find((file) => path.basename(file).startsWith('torch-'))
    if (variant === 'cpu' && (await isCudaWheel(torch))) {
      throw new SetupError(`pip's index has only the CUDA build of torch ${libtorchVersion}; ` +
        `set PIP_EXTRA_INDEX_URL=${wheelIndex}/cpu, or FT_LIBTORCH_VARIANT to get the CUDA build with its libraries`)
    }
    const pinned = Object.values(cpuWheels).find((wheel) => wheel.file === path.basename(torch))
    if (pinned && (await sha256OfFile(torch)) !== pinned.sha256) {
      throw new SetupError(`${pinned.file} from pip has an unexpected SHA-256`)
    }
    const kept = [torch, ...files.filter((file) => file !== torch && /^nvidia_/.test(path.basename(file)))]
    return kept.map((file) => {
      const target = path.join(folder, path.basename(file))
      renameSync(file, target)
      return { path: target }
    })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Commands that start a Python with pip; FT_PYTHON first. */
function findPythons(env = process.env) {
  const names = process.platform === 'win32' ? ['python', 'py'] : ['python3', 'python3.11', 'python3.12', 'python3.13', 'python']
  const seen = new Set()
  return [env.FT_PYTHON, ...names].filter((name) => {
    if (!name) return false
    const probe = spawnSync(name, ['-c', 'import pip, sys; print(sys.executable)'], { encoding: 'utf8', timeout: 20_000 })
    if (probe.status !== 0 || seen.has(probe.stdout)) return false
    seen.add(probe.stdout)
    return true
  })
}

function runPip(python, variant, scratch, { dependencies }) {
  const common = ['-m', 'pip', 'download', '--disable-pip-version-check', '--only-binary=:all:', '--dest', scratch,
    // An index that does not answer must cost seconds: the user is waiting for the next way.
    '--retries', '0', '--timeout', '15']
  if (!dependencies) common.push('--no-deps')
  if (process.platform === 'linux') common.push('--extra-index-url', `${wheelIndex}/${variant}`)
  const version = variant === 'cpu' ? libtorchVersion : `${libtorchVersion}+${variant}`
  // A Python without a wheel of its own may still fetch that of another: only the libraries matter.
  for (const forPython of [[], ['--python-version', '3.11', '--implementation', 'cp']]) {
    say(`${[python, ...common.slice(0, 3), ...forPython].join(' ')} torch==${version}`)
    const result = spawnSync(python, [...common, ...forPython, `torch==${version}`], { stdio: ['ignore', 2, 2] })
    const files = readdirSync(scratch).filter((file) => file.endsWith('.whl')).map((file) => path.join(scratch, file))
    if (result.status === 0 && files.some((file) => path.basename(file).startsWith('torch-'))) return files
  }
  return undefined
}
