// Qwen2 and Qwen2.5: transformers/models/qwen2. Biases on q, k and v whatever the config says; sliding window
// on the layers from max_window_layers on, or by layer_types.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseQwen2(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 151936,
                                          .intermediate_size = 22016,
                                          .num_key_value_heads = 32,
                                          .head_dim = 0,
                                          .max_position_embeddings = 32768,
                                          .bos_token_id = -1,
                                          .eos_token_id = -1});
  spec.qkv_bias = true;
  spec.layers = ParseWindowedLayers(config, spec.num_hidden_layers);
  return spec;
}

}  // namespace ft
