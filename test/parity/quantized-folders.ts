// Small random models as folders: plain, and with every linear weight of the layers stored in a quantized format, beside
// a plain folder of the values that this stands for. Made by the references in scripts/quantization.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { dequantizeFourBit, dequantizeInt8, fourBitTensors, int8Tensors, quantizeFourBit, quantizeInt8, type FourBitType } from '../../scripts/quantization/bitsandbytes.js'
import { awqTensors, float8Tensors, float8Values, gptqTensors, groupedValues, type GroupedCodes } from '../../scripts/quantization/others.js'
import { f32, writeTensors, type RawTensor } from '../../scripts/quantization/safetensors.js'

export interface Sizes {
  hidden: number
  intermediate: number
  heads: number
  kvHeads: number
  headDim: number
  vocab: number
}

/** No block divides these, and one weight has an odd number of values. */
export const oddSizes: Sizes = { hidden: 33, intermediate: 51, heads: 3, kvHeads: 1, headDim: 6, vocab: 41 }
/** Words of 8 values divide these. */
export const wordSizes: Sizes = { hidden: 48, intermediate: 72, heads: 4, kvHeads: 2, headDim: 8, vocab: 41 }

const layers = 2

export function configOf({ hidden, intermediate, heads, kvHeads, headDim, vocab }: Sizes): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'], model_type: 'llama', vocab_size: vocab, hidden_size: hidden, intermediate_size: intermediate, num_hidden_layers: layers,
    num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim, max_position_embeddings: 64, rms_norm_eps: 1e-5, rope_theta: 10000, hidden_act: 'silu',
    tie_word_embeddings: false, bos_token_id: 1, eos_token_id: 2, dtype: 'float32',
  }
}

/** Linear modules of the layers, [out, in]. */
export function linearModules({ hidden, intermediate, heads, kvHeads, headDim }: Sizes): [string, readonly [number, number]][] {
  const shapes: [string, readonly [number, number]][] = [
    ['self_attn.q_proj', [heads * headDim, hidden]], ['self_attn.k_proj', [kvHeads * headDim, hidden]], ['self_attn.v_proj', [kvHeads * headDim, hidden]],
    ['self_attn.o_proj', [hidden, heads * headDim]], ['mlp.gate_proj', [intermediate, hidden]], ['mlp.up_proj', [intermediate, hidden]], ['mlp.down_proj', [hidden, intermediate]],
  ]
  return Array.from({ length: layers }, (_, layer) => shapes.map(([name, shape]): [string, readonly [number, number]] => [`model.layers.${layer}.${name}`, shape])).flat()
}

/** mulberry32 and Box and Muller's normals: the same everywhere. */
export class Random {
  #state: number
  constructor(seed: number) {
    this.#state = seed
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  normals(count: number, deviation: number): Float32Array {
    return Float32Array.from({ length: count }, () => deviation * Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next()))
  }
  integers(count: number, below: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => Math.floor(this.next() * below))
  }
}

const made: string[] = []
process.once('exit', () => {
  for (const folder of made) fs.rmSync(folder, { recursive: true, force: true })
})

export function newFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-quantized-'))
  made.push(folder)
  return folder
}

export function writeModel(config: Record<string, unknown>, tensors: ReadonlyMap<string, RawTensor>): string {
  const folder = newFolder()
  fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config))
  writeTensors(path.join(folder, 'model.safetensors'), tensors)
  return folder
}

/** Everything that is no linear weight of a layer. */
function otherTensors({ hidden, vocab }: Sizes, random: Random): Map<string, RawTensor> {
  const tensors = new Map<string, RawTensor>([
    ['model.embed_tokens.weight', f32(random.normals(vocab * hidden, 1), [vocab, hidden])],
    ['lm_head.weight', f32(random.normals(vocab * hidden, 0.3), [vocab, hidden])],
    ['model.norm.weight', f32(random.normals(hidden, 0.1).map((x) => 1 + x), [hidden])],
  ])
  for (let layer = 0; layer < layers; layer++) {
    for (const norm of ['input_layernorm', 'post_attention_layernorm']) tensors.set(`model.layers.${layer}.${norm}.weight`, f32(random.normals(hidden, 0.1).map((x) => 1 + x), [hidden]))
  }
  return tensors
}

export interface Pair {
  /** config.json and tensors of the quantized folder. */
  config: Record<string, unknown>
  tensors: Map<string, RawTensor>
  quantized: string
  /** The same numbers, plain, in fp32. */
  plain: string
}

export interface Module {
  tensors: Map<string, RawTensor>
  values: Float32Array
}

/** A weight [out, in] in a format. */
export type Packer = (name: string, shape: readonly [number, number], random: Random) => Module

export function makePair(sizes: Sizes, quantization: Record<string, unknown>, pack: Packer): Pair {
  const random = new Random(7)
  return makePairOf({ config: configOf(sizes), others: otherTensors(sizes, random), linear: linearModules(sizes) }, quantization, pack, random)
}

/** A model by its config, its linear weights, and everything else. */
export interface Recipe {
  config: Record<string, unknown>
  others: ReadonlyMap<string, RawTensor>
  linear: readonly [string, readonly [number, number]][]
}

export function makePairOf(recipe: Recipe, quantization: Record<string, unknown>, pack: Packer, random: Random): Pair {
  const [packed, plain] = [new Map(recipe.others), new Map(recipe.others)]
  for (const [name, shape] of recipe.linear) {
    const { tensors, values } = pack(name, shape, random)
    for (const [key, tensor] of tensors) packed.set(key, tensor)
    plain.set(`${name}.weight`, f32(values, [...shape]))
  }
  const config = { ...recipe.config, quantization_config: quantization }
  return { config, tensors: packed, quantized: writeModel(config, packed), plain: writeModel(recipe.config, plain) }
}

export function fourBit(type: FourBitType, nested: boolean): { quantization: Record<string, unknown>; pack: Packer } {
  return {
    quantization: { quant_method: 'bitsandbytes', load_in_4bit: true, load_in_8bit: false, bnb_4bit_quant_type: type, bnb_4bit_use_double_quant: nested },
    pack(name, shape, random) {
      const count = shape[0] * shape[1]
      const quantized = quantizeFourBit(random.normals(count, 0.1), type, { nested })
      return { tensors: fourBitTensors(name, quantized, shape), values: dequantizeFourBit(quantized, count) }
    },
  }
}

/** threshold 0 and inputs that are rounded would need a reference of the product: weights alone are compared. */
export const eightBit: Packer = (name, shape, random) => {
  const quantized = quantizeInt8(random.normals(shape[0] * shape[1], 0.1), shape)
  return { tensors: int8Tensors(name, quantized, shape), values: dequantizeInt8(quantized, shape[1]) }
}

function grouped(bits: 4 | 8, [rows, columns]: readonly [number, number], random: Random, { groupSize, order, sym }: { groupSize: number; order: boolean; sym: boolean }): GroupedCodes {
  const groups = Math.ceil(columns / groupSize)
  const most = 2 ** bits
  const scales = Float32Array.from(random.normals(rows * groups, 1), (x) => Math.fround((0.2 * (1 + Math.abs(x))) / most))
  return {
    bits, rows, columns, groupSize, codes: random.integers(rows * columns, most), scales,
    zeros: sym ? new Uint8Array(rows * groups).fill(most / 2) : random.integers(rows * groups, most),
    ...(order ? { groupOf: Int32Array.from({ length: columns }, (_, column) => (column * 5 + 1) % groups) } : {}),
  }
}

export function gptq(bits: 4 | 8, version: 1 | 2, options: { groupSize: number; order: boolean; sym: boolean }): { quantization: Record<string, unknown>; pack: Packer } {
  return {
    quantization: { quant_method: 'gptq', bits, group_size: options.groupSize, desc_act: options.order, sym: options.sym, checkpoint_format: version === 1 ? 'gptq' : 'gptq_v2' },
    pack(name, shape, random) {
      const codes = grouped(bits, shape, random, options)
      return { tensors: gptqTensors(name, codes, version), values: groupedValues(codes) }
    },
  }
}

export const awq: { quantization: Record<string, unknown>; pack: Packer } = {
  quantization: { quant_method: 'awq', bits: 4, group_size: 16, version: 'gemm', zero_point: true },
  pack(name, shape, random) {
    const codes = grouped(4, shape, random, { groupSize: 16, order: false, sym: false })
    return { tensors: awqTensors(name, codes), values: groupedValues(codes) }
  },
}

export const float8: { quantization: Record<string, unknown>; pack: Packer } = {
  quantization: { quant_method: 'fp8', fmt: 'e4m3', activation_scheme: 'dynamic', weight_block_size: [16, 32] },
  pack(name, shape, random) {
    const [rows, columns] = shape
    const codes = random.integers(rows * columns, 0x78).map((code, i) => (i % 3 === 0 ? code | 0x80 : code))
    const scales = Float32Array.from(random.normals(Math.ceil(rows / 16) * Math.ceil(columns / 32), 1), (x) => Math.fround(0.001 * (1 + Math.abs(x))))
    const float = { rows, columns, block: [16, 32] as const, codes, scales }
    return { tensors: float8Tensors(name, float), values: float8Values(float) }
  },
}
