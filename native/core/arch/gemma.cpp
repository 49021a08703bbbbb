// Gemma: transformers/models/gemma. Norm weights are differences from one, embeddings are scaled by sqrt(hidden_size), heads have a
// width of their own.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGemma(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 256000,
                                          .hidden_size = 3072,
                                          .intermediate_size = 24576,
                                          .num_hidden_layers = 28,
                                          .num_attention_heads = 16,
                                          .num_key_value_heads = 16,
                                          .head_dim = 256,
                                          .max_position_embeddings = 8192,
                                          .bos_token_id = 2,
                                          .eos_token_id = 1,
                                          .pad_token_id = 0,
                                          .tie_word_embeddings = true,
                                          .hidden_act = "gelu_pytorch_tanh"});
  ReadGemmaFacts(config, &spec);
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  return spec;
}

}  // namespace ft
