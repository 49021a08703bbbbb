// Nemotron: transformers/models/nemotron. LayerNorm whose weights are differences from one, a plain MLP with a squared ReLU, half of
// each head turns.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseNemotron(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 256000,
                                          .hidden_size = 6144,
                                          .intermediate_size = 24576,
                                          .num_attention_heads = 48,
                                          .num_key_value_heads = 0,
                                          .head_dim = 0,
                                          .max_position_embeddings = 4096,
                                          .bos_token_id = 2,
                                          .eos_token_id = 3,
                                          .norm_eps = 1e-5,
                                          .initializer_range = 0.0134,
                                          .hidden_act = "relu2",
                                          .partial_rotary_factor = 0.5,
                                          .keys = {.norm_eps = "norm_eps"}});
  spec.norm.kind = NormKind::kLayer;
  spec.norm.bias = spec.norm.unit_offset = true;
  spec.gated_mlp = false;
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", false);
  spec.mlp_bias = config.Bool("mlp_bias", false);
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  return spec;
}

}  // namespace ft
