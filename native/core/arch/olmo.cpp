// OLMo: transformers/models/olmo. LayerNorm without parameters; queries, keys and values may be clipped.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseOlmo(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 50304,
                                          .intermediate_size = 11008,
                                          .num_key_value_heads = 0,
                                          .head_dim = 0,
                                          .max_position_embeddings = 2048,
                                          .bos_token_id = -1,
                                          .eos_token_id = 50279,
                                          .pad_token_id = 1});
  spec.norm = {.kind = NormKind::kLayer, .eps = 1e-5, .weight = false};
  spec.clip_qkv = config.OptionalNumber("clip_qkv", 0, 1e9, /*above_min=*/true).value_or(0);
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", false);
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  return spec;
}

}  // namespace ft
