// OLMo 2: transformers/models/olmo2. Norms only behind attention and MLP, and over all of q and all of k.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseOlmo2(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 50304,
                                          .intermediate_size = 11008,
                                          .num_key_value_heads = 0,
                                          .head_dim = 0,
                                          .max_position_embeddings = 2048,
                                          .bos_token_id = -1,
                                          .eos_token_id = 50279,
                                          .pad_token_id = 1,
                                          .norm_eps = 1e-5});
  spec.qk_norm = QkNorm::kWidth;
  NormsBehindOnly(&spec);
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", false);
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  return spec;
}

}  // namespace ft
