// Command R7B and A: transformers/models/cohere2. As Command R; layers with a sliding window turn queries and keys, the others do not.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseCohere2(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 256000,
                                          .hidden_size = 8192,
                                          .intermediate_size = 22528,
                                          .num_hidden_layers = 40,
                                          .num_attention_heads = 64,
                                          .num_key_value_heads = 0,
                                          .head_dim = 0,
                                          .max_position_embeddings = 8192,
                                          .bos_token_id = 5,
                                          .eos_token_id = 255001,
                                          .pad_token_id = 0,
                                          .norm_eps = 1e-5,
                                          .tie_word_embeddings = true,
                                          .keys = {.norm_eps = "layer_norm_eps"}});
  ReadCohereFacts(config, &spec);
  const int64_t window = WindowOr(config, 4096);
  for (const bool sliding : SlidingLayers(config, spec.num_hidden_layers, 4)) {
    const bool windowed = sliding && window > 0;
    spec.layers.push_back({windowed ? window : 0, windowed ? 0 : -1});
  }
  return spec;
}

}  // namespace ft
