// Llama: transformers/models/llama. Biases only where the config says so; no sliding window.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseLlama(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 32000,
                                          .intermediate_size = 11008,
                                          .num_key_value_heads = 0,
                                          .head_dim = 0,
                                          .max_position_embeddings = 2048,
                                          .bos_token_id = 1,
                                          .eos_token_id = 2});
  // transformers refuses this for Llama even where head_dim is given.
  if (spec.hidden_size % spec.num_attention_heads != 0) {
    config.Bad("hidden_size", "a multiple of num_attention_heads (" + std::to_string(spec.num_attention_heads) + ")",
               std::to_string(spec.hidden_size));
  }
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", false);
  spec.mlp_bias = config.Bool("mlp_bias", false);
  // pretraining_tp is not read: it only splits products that are mathematically one.
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  return spec;
}

}  // namespace ft
