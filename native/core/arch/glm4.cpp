// GLM-4: transformers/models/glm4. Norms before and behind attention and MLP, gate and up stored as one, half of each head turns, in
// neighbouring pairs.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGlm4(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 151552,
                                          .intermediate_size = 13696,
                                          .num_hidden_layers = 40,
                                          .num_key_value_heads = 2,
                                          .head_dim = 128,
                                          .max_position_embeddings = 131072,
                                          .bos_token_id = -1,
                                          .eos_token_id = -1,
                                          .pad_token_id = 151329,
                                          .norm_eps = 0.00000015625,
                                          .partial_rotary_factor = 0.5});
  if (!config.Has("eos_token_id")) {
    for (const int64_t id : {151329, 151336, 151338}) {
      if (id < spec.vocab_size) spec.eos_token_ids.push_back(id);
    }
  }
  spec.ropes[0].interleaved = true;
  spec.names.attention_post_norm = "model.layers.{}.post_self_attn_layernorm";
  spec.names.mlp_post_norm = "model.layers.{}.post_mlp_layernorm";
  spec.names.gate_up_proj = "model.layers.{}.mlp.gate_up_proj";
  spec.qkv_bias = config.Bool("attention_bias", true);
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  return spec;
}

}  // namespace ft
