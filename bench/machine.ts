// The machine that the figures belong to.
import fs from 'node:fs'
import os from 'node:os'

export interface Machine {
  cpu: string
  cores: number
  instructionSets: string[]
  memoryBytes: number
  system: string
  node: string
  date: string
  loadAverage: number
}

const INTERESTING = ['avx2', 'avx512f', 'avx512_bf16', 'avx512_vnni', 'amx_bf16', 'amx_int8', 'asimd', 'bf16', 'sve']

export function describeMachine(): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    instructionSets: cpuFlags().filter((flag) => INTERESTING.includes(flag)),
    memoryBytes: os.totalmem(),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
    loadAverage: Number(os.loadavg()[0]?.toFixed(2) ?? 0),
  }
}

/** bf16 products in hardware, as far as the system tells. */
export function hasBf16(machine: Machine): boolean {
  return machine.instructionSets.some((flag) => flag === 'avx512_bf16' || flag === 'amx_bf16' || flag === 'bf16')
}

function cpuFlags(): string[] {
  try {
    const line = fs.readFileSync('/proc/cpuinfo', 'utf8').split('\n').find((text) => /^(flags|Features)\s*:/.test(text))
    return line?.split(':')[1]?.trim().split(/\s+/) ?? []
  } catch {
    return [] // no /proc: not Linux
  }
}
