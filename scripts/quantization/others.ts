// Plain references of the other formats that are read: GPTQ and AWQ words, fp8 blocks, mxfp4 blocks. Each takes codes and
// scales, packs them as the format's files do, and says what values they stand for.
import { f32, i32, u8, type RawTensor } from './safetensors.js'

const round = Math.fround

export interface GroupedCodes {
  bits: 4 | 8
  rows: number
  columns: number
  groupSize: number
  /** [rows, columns] */
  codes: Uint8Array
  /** [rows, groups] */
  zeros: Uint8Array
  scales: Float32Array
  /** [columns]; undefined: in order. */
  groupOf?: Int32Array
}

export function groupedValues({ rows, columns, groupSize, codes, zeros, scales, groupOf }: GroupedCodes): Float32Array {
  const groups = scales.length / rows
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns]
    const group = row * groups + (groupOf?.[column] ?? Math.floor(column / groupSize))
    return round(((codes[i] ?? 0) - (zeros[group] ?? 0)) * (scales[group] ?? 0))
  })
}

/** Values [.., length] of `bits` bits into int32 words along an axis that `at` describes. */
function words(count: number, bits: number, fields: (word: number, field: number) => number): Int32Array {
  return Int32Array.from({ length: count }, (_, word) => {
    let value = 0
    for (let field = 0; field < 32 / bits; field++) value |= fields(word, field) << (field * bits)
    return value
  })
}

/** qweight along the input, qzeros along the output, zero − 1 in the first version of the format. */
export function gptqTensors(module: string, grouped: GroupedCodes, version: 1 | 2): Map<string, RawTensor> {
  const { bits, rows, columns, groupSize, codes, zeros, scales, groupOf } = grouped
  const fields = 32 / bits
  const groups = scales.length / rows
  const mask = 2 ** bits - 1
  const qweight = words((columns / fields) * rows, bits, (word, field) => codes[(word % rows) * columns + Math.floor(word / rows) * fields + field] ?? 0)
  const across = rows / fields
  const qzeros = words(groups * across, bits, (word, field) => {
    const zero = zeros[((word % across) * fields + field) * groups + Math.floor(word / across)] ?? 0
    return version === 1 ? (zero - 1) & mask : zero
  })
  const order = groupOf ?? Int32Array.from({ length: columns }, (_, column) => Math.floor(column / groupSize))
  return new Map([
    [`${module}.qweight`, i32(qweight, [columns / fields, rows])],
    [`${module}.qzeros`, i32(qzeros, [groups, across])],
    [`${module}.scales`, f32(transposed(scales, rows, groups), [groups, rows])],
    [`${module}.g_idx`, i32(order, [columns])],
  ])
}

const awqOrder = [0, 2, 4, 6, 1, 3, 5, 7]

/** Both packed along the output, in AWQ's order. */
export function awqTensors(module: string, { rows, columns, codes, zeros, scales }: GroupedCodes): Map<string, RawTensor> {
  const groups = scales.length / rows
  const across = rows / 8
  const output = (word: number, field: number): number => (word % across) * 8 + (awqOrder[field] ?? 0)
  return new Map([
    [`${module}.qweight`, i32(words(columns * across, 4, (word, field) => codes[output(word, field) * columns + Math.floor(word / across)] ?? 0), [columns, across])],
    [`${module}.qzeros`, i32(words(groups * across, 4, (word, field) => zeros[output(word, field) * groups + Math.floor(word / across)] ?? 0), [groups, across])],
    [`${module}.scales`, f32(transposed(scales, rows, groups), [groups, rows])],
  ])
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from({ length: values.length }, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] ?? 0)
}

/** e4m3fn: 4 bits of exponent with bias 7, 3 of mantissa, NaN where all are ones. */
export function float8Value(code: number): number {
  const [exponent, mantissa] = [(code >> 3) & 15, code & 7]
  if (exponent === 15 && mantissa === 7) return Number.NaN
  const size = exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10)
  return code >= 128 ? -size : size
}

export interface Float8Codes {
  rows: number
  columns: number
  block: readonly [number, number]
  codes: Uint8Array
  /** [ceil(rows / block[0]), ceil(columns / block[1])] */
  scales: Float32Array
}

export function float8Values({ columns, block, codes, scales }: Float8Codes): Float32Array {
  const across = Math.ceil(columns / block[1])
  return Float32Array.from(codes, (code, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns]
    return round(float8Value(code) * (scales[Math.floor(row / block[0]) * across + Math.floor(column / block[1])] ?? 0))
  })
}

export function float8Tensors(module: string, { rows, columns, block, codes, scales }: Float8Codes): Map<string, RawTensor> {
  return new Map<string, RawTensor>([
    [`${module}.weight`, { dtype: 'F8_E4M3', shape: [rows, columns], bytes: codes }],
    [`${module}.weight_scale_inv`, f32(scales, [Math.ceil(rows / block[0]), Math.ceil(columns / block[1])])],
  ])
}

const mxfp4Values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6]

/** Blocks of 16 bytes, the low nibble first, times 2^(scale − 127). */
export function mxfp4Value(blocks: Uint8Array, scales: Uint8Array): Float32Array {
  return Float32Array.from({ length: blocks.length * 2 }, (_, i) => {
    const byte = blocks[i >> 1] ?? 0
    return round((mxfp4Values[i % 2 === 0 ? byte & 15 : byte >> 4] ?? 0) * 2 ** ((scales[i >> 5] ?? 0) - 127))
  })
}

export function mxfp4Tensors(name: string, blocks: Uint8Array, scales: Uint8Array, rows: readonly number[]): Map<string, RawTensor> {
  const groups = scales.length / rows.reduce((product, size) => product * size, 1)
  return new Map([[`${name}_blocks`, u8(blocks, [...rows, groups, 16])], [`${name}_scales`, u8(scales, [...rows, groups])]])
}
