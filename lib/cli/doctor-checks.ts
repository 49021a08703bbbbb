// The checks of `ft-native doctor`, one function each. None changes anything, and none shows a secret.
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { makeError, toFineTuneError } from '../core/errors/index.js'
import { redact, secretVariables } from '../core/redact.js'
import { cacheFolder } from '../utils/cache-folder.js'
import { checkWritable } from '../utils/fs.js'
import { formatBytes } from '../utils/terminal.js'

export interface CheckResult {
  name: string
  status: 'ok' | 'warning' | 'failed'
  detail: string
  remedy?: string
  /** The same facts for programs. */
  facts?: Readonly<Record<string, unknown>>
}

type Check = () => CheckResult | CheckResult[] | Promise<CheckResult | CheckResult[]>

const checks: readonly Check[] = [nodeCheck, cpuCheck, memoryCheck, engineChecks, tokenizersCheck, cacheCheck, folderCheck, hubCheck]

export async function runChecks(): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  for (const check of checks) results.push(...[await check()].flat())
  return results
}

/** @param version process.versions.node */
export function nodeCheck(version: string = process.versions.node): CheckResult {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const fits = major > 20 || (major === 20 && minor >= 19)
  return {
    name: 'Node.js',
    status: fits ? 'ok' : 'failed',
    detail: `${version} (${process.platform} ${process.arch})`,
    remedy: fits ? undefined : 'install Node.js 20.19 or later',
    facts: { version, platform: process.platform, arch: process.arch },
  }
}

/** Instruction sets that decide how fast training is. */
const notable = ['avx2', 'fma', 'avx512f', 'avx512_bf16', 'amx_bf16', 'asimd', 'bf16', 'i8mm', 'sve']

async function cpuCheck(): Promise<CheckResult> {
  const cpus = os.cpus()
  const sets = await instructionSets()
  const model = cpus[0]?.model.trim() ?? 'unknown'
  return {
    name: 'CPU',
    status: 'ok',
    detail: `${model}, ${os.availableParallelism()} threads${sets.length > 0 ? `, ${sets.join(' ')}` : ''}`,
    facts: { model, threads: os.availableParallelism(), instruction_sets: sets },
  }
}

/** From /proc/cpuinfo; elsewhere the engine's own report has to do. */
async function instructionSets(): Promise<string[]> {
  try {
    const text = await fs.readFile('/proc/cpuinfo', 'utf8')
    const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1]?.split(' ') ?? [])
    return notable.filter((name) => flags.has(name))
  } catch {
    return []
  }
}

const smallMemory = 2 * 2 ** 30

function memoryCheck(): CheckResult {
  const total = os.totalmem()
  const limit = process.constrainedMemory()
  const usable = limit > 0 && limit < total ? limit : total
  const available = process.availableMemory()
  const tight = available < smallMemory
  return {
    name: 'memory',
    status: tight ? 'warning' : 'ok',
    detail: `${formatBytes(available)} available of ${formatBytes(usable)}`,
    remedy: tight ? 'close other programs, or train a small model with a small batch' : undefined,
    facts: { available_bytes: available, total_bytes: usable },
  }
}

/** The addon, LibTorch, devices, sentencepiece. Each failure names the library that is missing. */
async function engineChecks(): Promise<CheckResult[]> {
  try {
    const { diagnostics } = await import('../models/diagnostics.js')
    const info = diagnostics()
    const gpus = info.devices.filter((device) => device.name !== 'cpu')
    return [
      {
        name: 'engine',
        status: 'ok',
        detail: `LibTorch ${info.libtorch}, ${info.cpuCapability}, ${info.threads} threads, bf16 ${info.bf16Native ? 'native' : 'emulated'}; ${info.cpuKernels}`,
        facts: {
          libtorch: info.libtorch, cpu_capability: info.cpuCapability, cpu_kernels: info.cpuKernels,
          threads: info.threads, bf16_native: info.bf16Native, cuda: info.cuda, mps: info.mps,
          model_types: info.modelTypes,
        },
      },
      {
        name: 'devices',
        status: 'ok',
        detail: info.devices.map((device) => `${device.name} (${device.description}${device.totalBytes > 0 ? `, ${formatBytes(device.totalBytes)}` : ''})`).join(', '),
        remedy: gpus.length === 0 && !info.cuda && !info.mps ? 'this build computes on the CPU; for a GPU install again with a CUDA LibTorch' : undefined,
        facts: { devices: info.devices },
      },
      sentencepieceResult(info.sentencepiece),
    ]
  } catch (error) {
    const known = toFineTuneError(error)
    return [{ name: 'engine', status: 'failed', detail: redact(known.message), remedy: known.remedy || 'build it: npm run build', facts: { code: known.code } }]
  }
}

/** The package that reads tokenizer.json comes prebuilt, for 13 platforms. */
async function tokenizersCheck(): Promise<CheckResult> {
  try {
    await import('tokenizers')
    return { name: 'tokenizers', status: 'ok', detail: 'tokenizer.json can be read' }
  } catch (error) {
    return { name: 'tokenizers', status: 'failed', detail: error instanceof Error ? error.message : String(error), remedy: 'npm install again, with optional dependencies, on this machine' }
  }
}

export function sentencepieceResult(version: string | null): CheckResult {
  return {
    name: 'sentencepiece',
    status: version === null ? 'warning' : 'ok',
    detail: version ?? 'absent: tokenizer.json works, .model files do not',
    remedy: version === null ? 'install libsentencepiece-dev (or your system\'s package), then npm run build' : undefined,
    facts: { version },
  }
}

const smallDisk = 2 * 2 ** 30

async function cacheCheck(): Promise<CheckResult> {
  return spaceResult('cache', cacheFolder(), 'set FT_NATIVE_CACHE to a folder that you can write to')
}

async function folderCheck(): Promise<CheckResult> {
  return spaceResult('this folder', process.cwd(), 'give --output a folder that you can write to')
}

/** Space and write access of a folder, or of the nearest parent that exists. */
export async function spaceResult(name: string, folder: string, remedy: string): Promise<CheckResult> {
  const existing = await nearestExisting(folder)
  try {
    const { bavail, bsize } = await fs.statfs(existing)
    const free = bavail * bsize
    await checkWritable(existing)
    const tight = free < smallDisk
    return {
      name,
      status: tight ? 'warning' : 'ok',
      detail: `${folder}, ${formatBytes(free)} free`,
      remedy: tight ? 'free some space: checkpoints of large models need several GiB' : undefined,
      facts: { folder, free_bytes: free, writable: true },
    }
  } catch (error) {
    const known = error instanceof Error ? error : makeError('FT_STORAGE', String(error))
    return { name, status: 'warning', detail: known.message, remedy, facts: { folder, writable: false } }
  }
}

async function nearestExisting(folder: string): Promise<string> {
  for (let current = folder; ; current = path.dirname(current)) {
    const stats = await fs.stat(current).catch(() => null)
    if (stats !== null || current === path.dirname(current)) return current
  }
}

const plainHubVariables = ['HF_HOME', 'HF_ENDPOINT', 'HF_HUB_OFFLINE', 'HTTPS_PROXY', 'https_proxy'] as const

/** Which variables are set; tokens by name only. */
export function hubCheck(env: NodeJS.ProcessEnv = process.env): CheckResult {
  const secrets = secretVariables.filter((name) => env[name])
  const plain = plainHubVariables.filter((name) => env[name])
  const parts = [...secrets.map((name) => `${name} is set`), ...plain.map((name) => `${name}=${redact(env[name] ?? '', env)}`)]
  return { name: 'environment', status: 'ok', detail: parts.length > 0 ? parts.join(', ') : 'no hub variables set', facts: { secrets_set: secrets, set: plain } }
}
