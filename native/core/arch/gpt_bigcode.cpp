// GPT-BigCode (SantaCoder, StarCoder): transformers/models/gpt_bigcode. GPT-2 with plain linear weights and one key-value
// head for all queries; without multi_query each head's query, key and value stand together.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGptBigCode(const ConfigReader& config) {
  DecoderSpec spec = ParseGptLike(config, "gelu_pytorch_tanh");
  if (config.Bool("multi_query", true)) {
    spec.num_key_value_heads = 1;
  } else {
    spec.qkv_order = QkvOrder::kGrouped;
  }
  if (!config.Bool("scale_attn_weights", true)) spec.attention_scale = 1.0;
  return spec;
}

}  // namespace ft
