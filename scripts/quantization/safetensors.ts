// A few lines that read and write whole safetensors files as bytes, for the references of this folder and their tests: what
// the engine reads and writes is not judged by its own reader.
import fs from 'node:fs'

export interface RawTensor {
  dtype: string
  shape: number[]
  bytes: Uint8Array
}

export function writeTensors(file: string, tensors: ReadonlyMap<string, RawTensor>): void {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let offset = 0
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] }
    offset += bytes.length
  }
  const text = Buffer.from(JSON.stringify(header))
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, 0x20)])
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  fs.writeFileSync(file, Buffer.concat([length, padded, ...[...tensors.values()].map(({ bytes }) => bytes)]))
}

export function readTensors(file: string): Map<string, RawTensor> {
  const bytes = fs.readFileSync(file)
  const headerLength = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>
  const tensors = new Map<string, RawTensor>()
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const [begin, end] = entry.data_offsets
    tensors.set(name, { dtype: entry.dtype, shape: entry.shape, bytes: new Uint8Array(bytes.subarray(8 + headerLength + begin, 8 + headerLength + end)) })
  }
  return tensors
}

export const f32 = (values: Float32Array, shape: number[]): RawTensor => ({ dtype: 'F32', shape, bytes: new Uint8Array(values.slice().buffer) })
export const u8 = (values: Uint8Array, shape: number[]): RawTensor => ({ dtype: 'U8', shape, bytes: values })
export const i8 = (values: Int8Array, shape: number[]): RawTensor => ({ dtype: 'I8', shape, bytes: new Uint8Array(values.slice().buffer) })
export const i32 = (values: Int32Array, shape: number[]): RawTensor => ({ dtype: 'I32', shape, bytes: new Uint8Array(values.slice().buffer) })

export function floats({ dtype, bytes }: RawTensor): Float32Array {
  if (dtype !== 'F32') throw new Error(`expected F32, got ${dtype}`)
  return new Float32Array(bytes.slice().buffer)
}
