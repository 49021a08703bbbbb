// The model shapes that are measured, as config.json values, and the FLOPs of a training step on them.

export interface Shape {
  name: string
  title: string
  batchSize: number
  sequenceLength: number
  config: ModelConfig
}

export interface ModelConfig {
  model_type: 'llama' | 'qwen2'
  vocab_size: number
  hidden_size: number
  intermediate_size: number
  num_hidden_layers: number
  num_attention_heads: number
  num_key_value_heads: number
  max_position_embeddings: number
  rms_norm_eps: number
  rope_theta: number
  tie_word_embeddings: boolean
}

const smol: ModelConfig = {
  model_type: 'llama', vocab_size: 49152, hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 30,
  num_attention_heads: 9, num_key_value_heads: 3, max_position_embeddings: 8192, rms_norm_eps: 1e-5, rope_theta: 100000,
  tie_word_embeddings: true,
}

const qwen: ModelConfig = {
  model_type: 'qwen2', vocab_size: 151936, hidden_size: 896, intermediate_size: 4864, num_hidden_layers: 24,
  num_attention_heads: 14, num_key_value_heads: 2, max_position_embeddings: 32768, rms_norm_eps: 1e-6, rope_theta: 1000000,
  tie_word_embeddings: true,
}

export const SHAPES: Shape[] = [
  { name: 'smollm2-135m', title: 'SmolLM2-135M shape, 4 × 512', batchSize: 4, sequenceLength: 512, config: smol },
  { name: 'qwen2.5-0.5b', title: 'Qwen2.5-0.5B shape, 2 × 512', batchSize: 2, sequenceLength: 512, config: qwen },
]

/** A slice of the 135M shape that two programs can run several times in two minutes. */
export const QUICK: Shape = {
  name: 'quick', title: '6 layers of the 135M shape, vocabulary 8192, 2 × 256', batchSize: 2, sequenceLength: 256,
  config: { ...smol, num_hidden_layers: 6, vocab_size: 8192 },
}

export interface LinearShape { name: string; inFeatures: number; outFeatures: number; bias: boolean }

/** The linear modules of one layer. */
export function layerLinears(config: ModelConfig): LinearShape[] {
  const { hidden_size: hidden, intermediate_size: ffn } = config
  const headDim = hidden / config.num_attention_heads
  const kv = config.num_key_value_heads * headDim
  const bias = config.model_type === 'qwen2'
  return [
    { name: 'self_attn.q_proj', inFeatures: hidden, outFeatures: hidden, bias },
    { name: 'self_attn.k_proj', inFeatures: hidden, outFeatures: kv, bias },
    { name: 'self_attn.v_proj', inFeatures: hidden, outFeatures: kv, bias },
    { name: 'self_attn.o_proj', inFeatures: hidden, outFeatures: hidden, bias: false },
    { name: 'mlp.gate_proj', inFeatures: hidden, outFeatures: ffn, bias: false },
    { name: 'mlp.up_proj', inFeatures: hidden, outFeatures: ffn, bias: false },
    { name: 'mlp.down_proj', inFeatures: ffn, outFeatures: hidden, bias: false },
  ]
}

/** Weights that take part in matrix products: every linear and the output head; no embedding lookup. */
export function productParameters(config: ModelConfig): number {
  const layer = layerLinears(config).reduce((sum, linear) => sum + linear.inFeatures * linear.outFeatures, 0)
  return config.num_hidden_layers * layer + config.vocab_size * config.hidden_size
}

/**
 * FLOPs a token of one training step. LoRA: 4N (forward 2N, backward through frozen weights 2N); full: 6N.
 * Both plus causal attention, 12 · layers · hidden · length / 2. Adapters and elementwise work are not counted.
 */
export function flopsPerToken(shape: Shape, method: 'lora' | 'full'): number {
  const { config, sequenceLength } = shape
  const attention = 12 * config.num_hidden_layers * config.hidden_size * sequenceLength / 2
  return (method === 'lora' ? 4 : 6) * productParameters(config) + attention
}

/** m × k × n of the products of one layer and of the head, at this shape's tokens. */
export function productShapes(shape: Shape): string[] {
  const tokens = shape.batchSize * shape.sequenceLength
  const { hidden_size: hidden, intermediate_size: ffn } = shape.config
  return [`${tokens}x${hidden}x${hidden}`, `${tokens}x${hidden}x${2 * ffn}`, `${tokens}x${ffn}x${hidden}`]
}
