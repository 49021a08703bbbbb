// StarCoder2: transformers/models/starcoder2. LayerNorm, a plain MLP, biases everywhere by choice, one sliding window.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseStarcoder2(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 49152,
                                          .hidden_size = 3072,
                                          .intermediate_size = 12288,
                                          .num_hidden_layers = 30,
                                          .num_attention_heads = 24,
                                          .num_key_value_heads = 2,
                                          .head_dim = 0,
                                          .max_position_embeddings = 4096,
                                          .bos_token_id = 50256,
                                          .eos_token_id = 50256,
                                          .norm_eps = 1e-5,
                                          .initializer_range = 0.018042,
                                          .tie_word_embeddings = true,
                                          .hidden_act = "gelu_pytorch_tanh",
                                          .keys = {.norm_eps = "norm_epsilon"}});
  spec.norm.kind = NormKind::kLayer;
  spec.norm.bias = true;
  spec.qkv_bias = spec.o_bias = spec.mlp_bias = config.Bool("use_bias", true);
  spec.gated_mlp = false;
  spec.names.up_proj = "model.layers.{}.mlp.c_fc";
  spec.names.down_proj = "model.layers.{}.mlp.c_proj";
  spec.layers = UniformLayers(config, spec.num_hidden_layers, WindowOr(config, 0));
  return spec;
}

}  // namespace ft
