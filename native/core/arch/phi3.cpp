// Phi-3 and Phi-4: transformers/models/phi3. q, k, v are one stored projection, gate and up another; long rope.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParsePhi3(const ConfigReader& config) {
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 32064,
                                               .hidden_size = 3072,
                                               .intermediate_size = 8192,
                                               .num_key_value_heads = 0,
                                               .head_dim = 0,
                                               .max_position_embeddings = 4096,
                                               .bos_token_id = 1,
                                               .eos_token_id = 32000,
                                               .pad_token_id = 32000,
                                               .norm_eps = 1e-5});
  spec.ropes = {ParseRope(config, spec, {.partial_rotary_factor = 1.0, .original_max_position_embeddings = 4096, .only_long = true})};
  spec.names.qkv_proj = "model.layers.{}.self_attn.qkv_proj";
  spec.names.gate_up_proj = "model.layers.{}.mlp.gate_up_proj";
  spec.layers = UniformLayers(config, spec.num_hidden_layers, WindowOr(config, 0));
  return spec;
}

}  // namespace ft
