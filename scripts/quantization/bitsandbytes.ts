// A plain reference of what bitsandbytes keeps: nf4, fp4 with and without nested scales, and int8, from its published tables
// and layout. Every step is rounded to fp32. Slow, and independent of the engine.
import { f32, i8, u8, type RawTensor } from './safetensors.js'

const round = Math.fround

const nf4Values = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]
const fp4Twelfths = [0, 0.0625, 8, 12, 4, 6, 2, 3, -0, -0.0625, -8, -12, -4, -6, -2, -3]

export type FourBitType = 'nf4' | 'fp4'
export const fourBitTables: Readonly<Record<FourBitType, Float32Array>> = {
  nf4: Float32Array.from(nf4Values),
  fp4: Float32Array.from(fp4Twelfths, (value) => round(value / 12)),
}

/** Its binary search over the midpoints; every comparison with NaN is false. */
function nf4Code(x: number): number {
  const above = (bound: number): boolean => x > round(bound)
  if (above(0.03979014977812767)) {
    if (above(0.3893125355243683)) return above(0.6427869200706482) ? (above(0.8614784181118011) ? 15 : 14) : above(0.5016634166240692) ? 13 : 12
    return above(0.2035212516784668) ? (above(0.2920137718319893) ? 11 : 10) : above(0.1202552504837513) ? 9 : 8
  }
  if (above(-0.33967943489551544)) return above(-0.13791173323988914) ? (above(-0.045525018125772476) ? 7 : 6) : above(-0.23460740596055984) ? 5 : 4
  return above(-0.6106329262256622) ? (above(-0.4599952697753906) ? 3 : 2) : above(-0.8480964004993439) ? 1 : 0
}

function fp4Code(value: number): number {
  const sign = value < 0 ? 8 : 0
  const above = (bound: number): boolean => Math.abs(value) > round(bound)
  if (above(0.29166667)) return sign + (above(0.583333) ? (above(0.8333333) ? 3 : 2) : above(0.4166667) ? 5 : 4)
  if (above(0.0859375)) return sign + (above(0.20833333) ? 7 : 6)
  return sign + (above(0.00260417) ? 1 : 0)
}

/** `boundary` i of n + 1 from 0.1 to 1 as torch.linspace rounds it: once, from the nearer end. */
function linspace(count: number): number[] {
  const step = round(round(round(1) - round(0.1)) / (count - 1))
  return Array.from({ length: count }, (_, i) => (i < Math.floor(count / 2) ? round(round(0.1) + step * i) : round(1 - step * (count - 1 - i))))
}

/** create_dynamic_map(signed=True, max_exponent_bits=7, total_bits=8) */
export function dynamicMap(): Float32Array {
  const values = [0, 1]
  for (let exponent = 0; exponent < 7; exponent++) {
    const bounds = linspace(2 ** exponent + 1)
    const scale = round(10 ** (exponent - 6))
    for (let i = 0; i < 2 ** exponent; i++) {
      const mean = round(round((bounds[i] ?? 0) + (bounds[i + 1] ?? 0)) / 2)
      values.push(round(scale * mean), round(-scale * mean))
    }
  }
  return Float32Array.from(values).sort()
}

export interface FourBit {
  type: FourBitType
  /** Packed, the high nibble first. */
  codes: Uint8Array
  absmax: Float32Array
  nested?: { codes: Uint8Array; absmax: Float32Array; offset: number }
}

export function quantizeFourBit(values: Float32Array, type: FourBitType, { nested = false, block = 64 } = {}): FourBit {
  const encode = type === 'nf4' ? nf4Code : fp4Code
  const blocks = Math.ceil(values.length / block)
  const absmax = new Float32Array(blocks)
  const codes = new Uint8Array(Math.ceil(values.length / 2))
  for (let b = 0; b < blocks; b++) {
    const piece = values.subarray(b * block, (b + 1) * block)
    const top = piece.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    absmax[b] = top
    const inverse = top > 0 ? round(1 / top) : 0
    for (let i = 0; i < piece.length + (piece.length % 2); i++) {
      const code = encode(i < piece.length ? round((piece[i] ?? 0) * inverse) : 0)
      const at = (b * block + i) >> 1
      codes[at] = (codes[at] ?? 0) | (i % 2 === 0 ? code << 4 : code)
    }
  }
  return { type, codes, absmax, ...(nested ? { nested: nest(absmax) } : {}) }
}

function nest(absmax: Float32Array): NonNullable<FourBit['nested']> {
  const map = dynamicMap()
  const offset = round(absmax.reduce((sum, value) => sum + value, 0) / absmax.length)
  const outer = new Float32Array(Math.ceil(absmax.length / 256))
  const codes = new Uint8Array(absmax.length)
  for (let b = 0; b < outer.length; b++) {
    const piece = absmax.subarray(b * 256, (b + 1) * 256).map((value) => round(value - offset))
    const top = piece.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    outer[b] = top
    const inverse = top > 0 ? round(1 / top) : 0
    piece.forEach((value, i) => {
      const x = Math.min(1, Math.max(-1, round(value * inverse)))
      let best = 0
      for (let code = 1; code < 256; code++) if (round(Math.abs(x - (map[code] ?? 0))) < round(Math.abs(x - (map[best] ?? 0)))) best = code
      codes[b * 256 + i] = best
    })
  }
  return { codes, absmax: outer, offset }
}

export function dequantizeFourBit({ type, codes, absmax, nested }: FourBit, count: number, block = 64): Float32Array {
  const table = fourBitTables[type]
  const map = dynamicMap()
  return Float32Array.from({ length: count }, (_, i) => {
    const b = Math.floor(i / block)
    const scale = nested === undefined ? (absmax[b] ?? 0) : round(round((map[nested.codes[b] ?? 0] ?? 0) * (nested.absmax[b >> 8] ?? 0)) + nested.offset)
    const byte = codes[i >> 1] ?? 0
    return round((table[i % 2 === 0 ? byte >> 4 : byte & 15] ?? 0) * scale)
  })
}

/** The tensors of one module's weight, as transformers writes them. */
export function fourBitTensors(module: string, quantized: FourBit, shape: readonly [number, number], dtype = 'float32'): Map<string, RawTensor> {
  const { type, codes, absmax, nested } = quantized
  const weight = `${module}.weight`
  // json.dumps: a space behind every comma and colon.
  const facts: [string, string][] = [
    ['quant_type', `"${type}"`], ['blocksize', '64'], ['dtype', `"${dtype}"`], ['shape', `[${shape.join(', ')}]`],
    ...(nested === undefined ? [] : ([['nested_blocksize', '256'], ['nested_dtype', '"float32"'], ['nested_offset', String(nested.offset)]] satisfies [string, string][])),
  ]
  const state = Buffer.from(`{${facts.map(([key, value]) => `"${key}": ${value}`).join(', ')}}`)
  const scales: [string, RawTensor][] = nested === undefined
    ? [[`${weight}.absmax`, f32(absmax, [absmax.length])]]
    : [
        [`${weight}.absmax`, u8(nested.codes, [nested.codes.length])],
        [`${weight}.nested_absmax`, f32(nested.absmax, [nested.absmax.length])],
        [`${weight}.nested_quant_map`, f32(dynamicMap(), [256])],
      ]
  return new Map<string, RawTensor>([
    [weight, u8(codes, [codes.length, 1])], ...scales, [`${weight}.quant_map`, f32(fourBitTables[type], [16])],
    [`${weight}.quant_state.bitsandbytes__${type}`, u8(new Uint8Array(state), [state.length])],
  ])
}

/** To fp16 and back: int8 weights pass through it. Round to nearest even. */
export function throughHalf(value: number): number {
  const size = Math.abs(value)
  const exponent = size === 0 ? -14 : Math.max(-14, Math.floor(Math.log2(size)))
  const step = 2 ** (exponent - 10)
  return Math.sign(value) * roundHalfEven(size / step) * step
}

function roundHalfEven(x: number): number {
  const low = Math.floor(x)
  if (x - low !== 0.5) return Math.round(x)
  return low % 2 === 0 ? low : low + 1
}

export interface Int8 {
  codes: Int8Array
  scales: Float32Array
}

export function quantizeInt8(values: Float32Array, [rows, columns]: readonly [number, number]): Int8 {
  const codes = new Int8Array(rows * columns)
  const scales = new Float32Array(rows)
  for (let row = 0; row < rows; row++) {
    const piece = values.subarray(row * columns, (row + 1) * columns).map(throughHalf)
    const top = piece.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    scales[row] = top
    const inverse = top > 0 ? round(127 / top) : 0
    piece.forEach((value, i) => (codes[row * columns + i] = roundHalfEven(Math.abs(round(value * inverse))) * Math.sign(value)))
  }
  return { codes, scales }
}

export function dequantizeInt8({ codes, scales }: Int8, columns: number): Float32Array {
  return Float32Array.from(codes, (code, i) => round(round(code * (scales[Math.floor(i / columns)] ?? 0)) * round(7.874015718698502e-3)))
}

export function int8Tensors(module: string, { codes, scales }: Int8, shape: readonly [number, number]): Map<string, RawTensor> {
  return new Map([[`${module}.weight`, i8(codes, [...shape])], [`${module}.SCB`, f32(scales, [scales.length])], [`${module}.weight_format`, u8(new Uint8Array(1), [])]])
}
