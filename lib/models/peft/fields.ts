// Every field that PEFT 0.21 writes into a LoRA adapter_config.json (peft/tuners/lora/config.py), with its default,
// and what this engine makes of values other than the default.

export const peftVersion = '0.21.0'

/** Fields with the value PEFT writes when nothing was set. Ours replace theirs; the rest stays as it is. */
export const loraDefaults = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: null,
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 8,
  lora_bias: false,
  lora_dropout: 0,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  monteclora_config: null,
  peft_type: 'LORA',
  peft_version: peftVersion,
  qalora_group_size: 16,
  r: 8,
  rank_pattern: {},
  revision: null,
  target_modules: null,
  target_parameters: null,
  task_type: 'CAUSAL_LM',
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
  velora_config: null,
} as const satisfies Record<string, unknown>

/**
 * Fields that change what an adapter computes or which tensors it holds. A value that is not listed here is refused,
 * with the reason. null, false, "" and empty lists and objects always pass: they ask for nothing.
 */
export const refusedFields = {
  use_dora: 'DoRA',
  lora_bias: 'a bias in lora_B',
  bias: 'trained biases',
  modules_to_save: 'whole modules trained beside the adapter',
  trainable_token_indices: 'trained token embeddings',
  layer_replication: 'layers used several times',
  megatron_config: 'Megatron layers',
  alora_invocation_tokens: 'activated LoRA',
  use_qalora: 'QA-LoRA',
  use_bdlora: 'block-diagonal LoRA',
  arrow_config: 'Arrow routing',
  kasa_config: 'KaSA',
  monteclora_config: 'MonteCLoRA',
  corda_config: 'CorDA, which changes the base weights',
} as const satisfies Partial<Record<keyof typeof loraDefaults, string>>

/** init_lora_weights values that leave the base weights as they are; the others (pissa, olora, loftq, corda, lora_ga) change them. */
export const plainInits: readonly unknown[] = [true, false, 'gaussian', 'eva', 'orthogonal', 'mica', null]

/** Fields that only say how training started or ran, what the model says better (fan_in_fan_out), or that are dead without a refused one. */
export const harmlessFields: readonly (keyof typeof loraDefaults)[] = [
  'eva_config', 'lora_ga_config', 'loftq_config', 'velora_config', 'megatron_core', 'qalora_group_size', 'auto_mapping',
  'inference_mode', 'fan_in_fan_out', 'peft_version', 'revision', 'task_type', 'base_model_name_or_path', 'peft_type', 'init_lora_weights',
]
