// Granite: transformers/models/granite. Llama with multipliers on embeddings, scores, residuals and logits.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGranite(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 32000,
                                          .intermediate_size = 11008,
                                          .num_key_value_heads = 0,
                                          .head_dim = 0,
                                          .max_position_embeddings = 2048,
                                          .bos_token_id = 1,
                                          .eos_token_id = 2});
  constexpr double kLargest = 1e9;
  const auto multiplier = [&](const char* key) { return config.Number(key, 1.0, 0, kLargest, /*above_min=*/true); };
  spec.embedding_multiplier = multiplier("embedding_multiplier");
  spec.attention_scale = multiplier("attention_multiplier");
  spec.residual_multiplier = multiplier("residual_multiplier");
  spec.logit_scale = 1.0 / multiplier("logits_scaling");
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", false);
  spec.mlp_bias = config.Bool("mlp_bias", false);
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  return spec;
}

}  // namespace ft
