// Mistral: transformers/models/mistral. No biases; one sliding window for all layers (4096 when the key is
// absent, none when it is null).
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseMistral(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 32000,
                                          .intermediate_size = 14336,
                                          .num_key_value_heads = 8,
                                          .head_dim = 0,
                                          .max_position_embeddings = 4096 * 32,
                                          .bos_token_id = 1,
                                          .eos_token_id = 2});
  spec.layers = UniformLayers(config, spec.num_hidden_layers, WindowOr(config, 4096));
  return spec;
}

}  // namespace ft
