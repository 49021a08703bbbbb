// Command R: transformers/models/cohere. Attention and MLP side by side behind one LayerNorm without bias, neighbouring dimensions
// turn together, logits are scaled, queries and keys have norms with a weight for each head by choice.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseCohere(const ConfigReader& config) {
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
                                          .rope_theta = 500000.0,
                                          .keys = {.norm_eps = "layer_norm_eps"}});
  ReadCohereFacts(config, &spec);
  if (config.Bool("use_qk_norm", false)) spec.qk_norm = QkNorm::kHeads;
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  return spec;
}

}  // namespace ft
