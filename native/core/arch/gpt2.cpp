// GPT-2: transformers/models/gpt2. Learned positions, LayerNorm, linear weights stored [in, out] (Conv1D), queries, keys
// and values in one. reorder_and_upcast_attn changes roundings alone.
#include <cmath>

#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGpt2(const ConfigReader& config) {
  DecoderSpec spec = ParseGptLike(config, "gelu_new");
  spec.transposed = true;
  const bool scaled = config.Bool("scale_attn_weights", true);
  const bool by_layer = config.Bool("scale_attn_by_inverse_layer_idx", false);
  spec.attention_scale = scaled ? 1 / std::sqrt(static_cast<double>(spec.head_dim)) : 1.0;
  for (size_t i = 0; by_layer && i < spec.layers.size(); ++i) {
    spec.layers[i].attention_scale = spec.attention_scale / static_cast<double>(i + 1);
  }
  return spec;
}

}  // namespace ft
