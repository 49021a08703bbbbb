// Qwen3 (dense): transformers/models/qwen3. RMSNorm over each head of q and k, head_dim of its own (128),
// sliding window as in Qwen2.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseQwen3(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 151936,
                                          .intermediate_size = 22016,
                                          .num_key_value_heads = 32,
                                          .head_dim = 128,
                                          .max_position_embeddings = 32768,
                                          .bos_token_id = -1,
                                          .eos_token_id = -1});
  spec.qk_norm = QkNorm::kHead;
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", false);
  spec.layers = ParseWindowedLayers(config, spec.num_hidden_layers);
  return spec;
}

}  // namespace ft
