// Phi 1, 1.5 and 2: transformers/models/phi. Half of each head turns, attention and MLP read one norm and are added
// together, biases everywhere, the head's included.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParsePhi(const ConfigReader& config) {
  CommonKeys keys;
  keys.norm_eps = "layer_norm_eps";
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 51200,
                                          .hidden_size = 2048,
                                          .intermediate_size = 8192,
                                          .num_hidden_layers = 24,
                                          .num_attention_heads = 32,
                                          .num_key_value_heads = 0,
                                          .head_dim = 0,
                                          .max_position_embeddings = 2048,
                                          .bos_token_id = 1,
                                          .eos_token_id = 2,
                                          .norm_eps = 1e-5,
                                          .hidden_act = "gelu_new",
                                          .partial_rotary_factor = 0.5,
                                          .keys = keys});
  spec.norm = spec.qk_norm_spec = {.kind = NormKind::kLayer, .eps = spec.norm.eps, .bias = true};
  if (config.Bool("qk_layernorm", false)) spec.qk_norm = QkNorm::kHead;
  spec.parallel_residual = true;
  spec.gated_mlp = false;
  spec.qkv_bias = spec.o_bias = spec.mlp_bias = spec.head_bias = true;
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);

  DecoderSpec::Names& names = spec.names;
  names.mlp_norm = "";
  names.o_proj = "model.layers.{}.self_attn.dense";
  names.q_norm = "model.layers.{}.self_attn.q_layernorm";
  names.k_norm = "model.layers.{}.self_attn.k_layernorm";
  names.up_proj = "model.layers.{}.mlp.fc1";
  names.down_proj = "model.layers.{}.mlp.fc2";
  names.norm = "model.final_layernorm";
  return spec;
}

}  // namespace ft
