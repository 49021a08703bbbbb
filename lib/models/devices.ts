// "auto" devices and dtypes, resolved against what this build and machine have.
import { makeError } from '../core/errors/index.js'
import { native, type NativeBuildInfo, type NativeDtype } from '../native/binding.js'

export type DtypeOption = NativeDtype | 'auto'

const dtypes: readonly NativeDtype[] = ['bf16', 'fp16', 'fp32']
const devicePattern = /^(?:auto|cpu|mps|cuda(?::\d{1,3})?)$/

/** auto: the first CUDA device, else MPS, else the CPU. A named one need not be here: memory can be estimated for any. */
export function resolveDevice(device: string = 'auto', build: Pick<NativeBuildInfo, 'devices'> = native().buildInfo()): string {
  if (!devicePattern.test(device)) {
    throw makeError('FT_INVALID_ARGUMENT', `device ${JSON.stringify(device)} is none of auto, cpu, cuda, cuda:<n>, mps`, { remedy: 'use auto' })
  }
  if (device !== 'auto') return device
  const names = build.devices.map((entry) => entry.name)
  return names.find((name) => name.startsWith('cuda')) ?? names.find((name) => name === 'mps') ?? 'cpu'
}

/** The device, which is here: asked before anything is downloaded or read for it. Errors: FT_INVALID_ARGUMENT, FT_DEVICE_UNAVAILABLE. */
export function presentDevice(device: string | undefined, build: Pick<NativeBuildInfo, 'devices' | 'cuda'> = native().buildInfo()): string {
  const resolved = resolveDevice(device, build)
  const names = build.devices.map((entry) => entry.name)
  if (names.includes(resolved === 'cuda' ? 'cuda:0' : resolved)) return resolved
  const reason = resolved.startsWith('cuda') && !build.cuda ? 'this build of ft-native has no CUDA support' : `there is ${names.join(', ')}`
  throw makeError('FT_DEVICE_UNAVAILABLE', `device "${resolved}" is not available: ${reason}`, { remedy: 'use --device cpu; ft-native doctor shows what is here, and what a GPU needs', details: { device: resolved } })
}

/** auto: bf16 where products in it are native (the CPU's AVX512-bf16 or AMX; CUDA), else fp32. */
export function resolveDtype(dtype: DtypeOption = 'auto', device: string = 'cpu', build: Pick<NativeBuildInfo, 'bf16Native'> = native().buildInfo()): NativeDtype {
  if (dtype === 'auto') return device.startsWith('cuda') || (device === 'cpu' && build.bf16Native) ? 'bf16' : 'fp32'
  if (!dtypes.includes(dtype)) {
    throw makeError('FT_INVALID_ARGUMENT', `dtype ${JSON.stringify(dtype)} is none of auto, ${dtypes.join(', ')}`, { remedy: 'use auto' })
  }
  return dtype
}
