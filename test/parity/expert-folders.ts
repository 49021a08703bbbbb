// Small random models with experts, for tests of quantized ones: Mixtral with a tensor for each projection of each expert, gpt_oss with
// those of all experts in one, which may be mxfp4.
import { mxfp4Tensors, mxfp4Value } from '../../scripts/quantization/others.js'
import { f32, type RawTensor } from '../../scripts/quantization/safetensors.js'
import type { Random, Recipe } from './quantized-folders.js'

const layers = 2
const vocab = 41
export const experts = 3

/** Words of 8 values and blocks of 16 divide these; 64 does not. */
const mixtralSizes = { hidden: 48, width: 24, heads: 4, kvHeads: 2, headDim: 8 }

const common = { vocab_size: vocab, num_hidden_layers: layers, max_position_embeddings: 64, rms_norm_eps: 1e-5, tie_word_embeddings: false, bos_token_id: 1, eos_token_id: 2, dtype: 'float32' }

function stem(hidden: number, random: Random): Map<string, RawTensor> {
  const norm = (): RawTensor => f32(random.normals(hidden, 0.1).map((x) => 1 + x), [hidden])
  const tensors = new Map<string, RawTensor>([
    ['model.embed_tokens.weight', f32(random.normals(vocab * hidden, 1), [vocab, hidden])], ['lm_head.weight', f32(random.normals(vocab * hidden, 0.3), [vocab, hidden])], ['model.norm.weight', norm()],
  ])
  for (let layer = 0; layer < layers; layer++) {
    for (const name of ['input_layernorm', 'post_attention_layernorm']) tensors.set(`model.layers.${layer}.${name}.weight`, norm())
  }
  return tensors
}

function attention(hidden: number, heads: number, kvHeads: number, headDim: number): [string, readonly [number, number]][] {
  return [['q_proj', [heads * headDim, hidden]], ['k_proj', [kvHeads * headDim, hidden]], ['v_proj', [kvHeads * headDim, hidden]], ['o_proj', [hidden, heads * headDim]]]
}

/** Routers are among the linear weights where `routers` says so: older releases have quantized them too. */
export function mixtral(random: Random, { routers = false } = {}): Recipe {
  const { hidden, width, heads, kvHeads, headDim } = mixtralSizes
  const others = stem(hidden, random)
  const linear: [string, readonly [number, number]][] = []
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}`
    for (const [name, shape] of attention(hidden, heads, kvHeads, headDim)) linear.push([`${prefix}.self_attn.${name}`, shape])
    const gate = `${prefix}.block_sparse_moe.gate`
    if (routers) linear.push([gate, [experts, hidden]])
    else others.set(`${gate}.weight`, f32(random.normals(experts * hidden, 0.5), [experts, hidden]))
    for (let expert = 0; expert < experts; expert++) {
      for (const [name, shape] of [['w1', [width, hidden]], ['w2', [hidden, width]], ['w3', [width, hidden]]] as const) linear.push([`${prefix}.block_sparse_moe.experts.${expert}.${name}`, shape])
    }
  }
  const config = {
    architectures: ['MixtralForCausalLM'], model_type: 'mixtral', hidden_size: hidden, intermediate_size: width, num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim,
    num_local_experts: experts, num_experts_per_tok: 2, rope_theta: 10000, hidden_act: 'silu', sliding_window: null, ...common,
  }
  return { config, others, linear }
}

/** 32 divides the inputs of experts. */
const gptOssSizes = { hidden: 64, width: 32, heads: 3, kvHeads: 1, headDim: 10 }

export interface FusedExperts {
  name: string
  /** Of each expert, [out, in]. */
  shape: readonly [number, number]
  values: Float32Array[]
}

export interface GptOss {
  config: Record<string, unknown>
  /** Everything but the experts' matrices. */
  others: Map<string, RawTensor>
  fused: FusedExperts[]
  /** The same matrices as their blocks and scales. */
  packed: Map<string, RawTensor>
}

export const mxfp4Quantization = { quant_method: 'mxfp4', modules_to_not_convert: ['model.layers.*.self_attn', 'model.layers.*.mlp.router', 'model.embed_tokens', 'lm_head'] }

/** Every value of the format is there, with scales around those of weights. */
export function gptOss(random: Random): GptOss {
  const { hidden, width, heads, kvHeads, headDim } = gptOssSizes
  const [others, fused, packed] = [stem(hidden, random), [] as FusedExperts[], new Map<string, RawTensor>()]
  const put = (name: string, shape: readonly number[], deviation: number): void => {
    others.set(name, f32(random.normals(shape.reduce((count, size) => count * size, 1), deviation), [...shape]))
  }
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}`
    for (const [name, shape] of attention(hidden, heads, kvHeads, headDim)) {
      put(`${prefix}.self_attn.${name}.weight`, shape, 0.1)
      put(`${prefix}.self_attn.${name}.bias`, [shape[0]], 0.1)
    }
    put(`${prefix}.self_attn.sinks`, [heads], 1)
    put(`${prefix}.mlp.router.weight`, [experts, hidden], 0.5)
    put(`${prefix}.mlp.router.bias`, [experts], 0.1)
    for (const [name, shape] of [['gate_up_proj', [2 * width, hidden]], ['down_proj', [hidden, width]]] as const) {
      const parameter = `${prefix}.mlp.experts.${name}`
      put(`${parameter}_bias`, [experts, shape[0]], 0.1)
      const count = shape[0] * shape[1]
      const blocks = random.integers((experts * count) / 2, 256)
      const scales = random.integers((experts * count) / 32, 5).map((x) => 120 + x)
      for (const [key, tensor] of mxfp4Tensors(parameter, blocks, scales, [experts, shape[0]])) packed.set(key, tensor)
      const values = mxfp4Value(blocks, scales)
      fused.push({ name: parameter, shape, values: Array.from({ length: experts }, (_, expert) => values.subarray(expert * count, (expert + 1) * count)) })
    }
  }
  const config = {
    architectures: ['GptOssForCausalLM'], model_type: 'gpt_oss', hidden_size: hidden, intermediate_size: width, num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim,
    num_local_experts: experts, num_experts_per_tok: 2, sliding_window: 4, ...common,
  }
  return { config, others, fused, packed }
}

/** As files have them, [experts, in, out]. */
export function fusedTensors(fused: readonly FusedExperts[], valuesOf = (values: Float32Array, _shape: readonly [number, number]): Float32Array => values): Map<string, RawTensor> {
  return new Map(fused.map(({ name, shape, values }) => {
    const [out, width] = shape
    const all = new Float32Array(values.length * out * width)
    for (const [expert, matrix] of values.map((one) => valuesOf(one, shape)).entries()) {
      for (let i = 0; i < out * width; i++) all[expert * out * width + (i % width) * out + Math.floor(i / width)] = matrix[i] ?? 0
    }
    return [name, f32(all, [values.length, width, out])]
  }))
}
