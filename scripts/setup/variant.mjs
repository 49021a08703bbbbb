// Which build of LibTorch this machine wants: "cpu", or a CUDA build that its NVIDIA driver can run.
import { spawnSync } from 'node:child_process'
import { cudaVariants } from './pins.mjs'
import { SetupError, say } from './report.mjs'

/** → {variant, chosenBy}: FT_LIBTORCH_VARIANT (cpu, cu130 …), else by the driver. macOS has one build, with MPS in it. */
export function wantedVariant(env = process.env, driverCuda = readDriverCuda) {
  const names = ['cpu', ...cudaVariants.map((variant) => variant.name)]
  if (env.FT_LIBTORCH_VARIANT) {
    if (!names.includes(env.FT_LIBTORCH_VARIANT)) {
      throw new SetupError(`FT_LIBTORCH_VARIANT=${env.FT_LIBTORCH_VARIANT} is not known.`, `One of: ${names.join(', ')}.`)
    }
    return { variant: env.FT_LIBTORCH_VARIANT, chosenBy: 'environment' }
  }
  const cpu = { variant: 'cpu', chosenBy: 'default' }
  if (process.platform === 'darwin') return cpu
  const cuda = driverCuda()
  if (cuda === undefined) return cpu
  const variant = cudaVariants.find((candidate) => candidate.cuda <= cuda)
  if (!variant) {
    say(`the NVIDIA driver offers CUDA ${cuda}, older than every CUDA build of LibTorch: using the CPU build`)
    return cpu
  }
  say(`NVIDIA driver with CUDA ${cuda}: the ${variant.name} build (FT_LIBTORCH_VARIANT=cpu for the CPU build)`)
  return { variant: variant.name, chosenBy: 'driver' }
}

/** The CUDA version that nvidia-smi names, or undefined where there is no driver. */
function readDriverCuda() {
  const result = spawnSync('nvidia-smi', [], { encoding: 'utf8', timeout: 20_000 })
  if (result.status !== 0) return undefined
  const match = /CUDA Version:\s*(\d+\.\d+)/.exec(result.stdout)
  return match ? Number(match[1]) : undefined
}
