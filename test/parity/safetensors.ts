// A few lines that read a whole safetensors file into fp32 arrays: the tests' own, so that what the engine
// writes is not judged by its own reader.
import fs from 'node:fs'

export interface Tensor { shape: number[]; data: Float32Array }

interface Header { dtype: string; shape: number[]; data_offsets: [number, number] }

export function readSafetensors(file: string): Map<string, Tensor> {
  const bytes = fs.readFileSync(file)
  const headerLength = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<string, Header>
  const tensors = new Map<string, Tensor>()
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const [begin, end] = entry.data_offsets
    tensors.set(name, { shape: entry.shape, data: toFloat32(bytes.subarray(8 + headerLength + begin, 8 + headerLength + end), entry.dtype) })
  }
  return tensors
}

function toFloat32(bytes: Buffer, dtype: string): Float32Array {
  const copy = new Uint8Array(bytes).buffer
  if (dtype === 'F32') return new Float32Array(copy)
  const words = new Uint16Array(copy)
  if (dtype === 'BF16') return new Float32Array(Uint32Array.from(words, (word) => word << 16 >>> 0).buffer)
  if (dtype === 'F16') return Float32Array.from(words, halfToFloat)
  throw new Error(`dtype ${dtype} is not read by the tests`)
}

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}
