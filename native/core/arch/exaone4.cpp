// EXAONE 4: transformers/models/exaone4. Norms only behind attention and MLP, and on each head of q and k; of a model with sliding
// windows, the layers without one have no rotary embedding.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseExaone4(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 102400,
                                          .intermediate_size = 16384,
                                          .num_key_value_heads = 32,
                                          .head_dim = 0,
                                          .max_position_embeddings = 2048,
                                          .bos_token_id = 0,
                                          .eos_token_id = 2,
                                          .norm_eps = 1e-5});
  spec.qk_norm = QkNorm::kHead;
  NormsBehindOnly(&spec);
  const int64_t window = WindowOr(config, 4096);
  // Without a window every layer is full, whatever the pattern.
  const auto types = window > 0 ? SlidingLayers(config, spec.num_hidden_layers, 4) : SlidingLayers(config, spec.num_hidden_layers, [](int64_t) { return false; });
  for (const bool sliding : types) spec.layers.push_back({sliding ? window : 0, sliding || window == 0 ? 0 : -1});
  return spec;
}

}  // namespace ft
