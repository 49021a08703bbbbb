// Gemma 2: transformers/models/gemma2. Norms before and behind attention and MLP, soft caps on scores and logits, every other
// layer with a sliding window.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGemma2(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 256000,
                                          .hidden_size = 2304,
                                          .intermediate_size = 9216,
                                          .num_hidden_layers = 26,
                                          .num_attention_heads = 8,
                                          .num_key_value_heads = 4,
                                          .head_dim = 256,
                                          .max_position_embeddings = 8192,
                                          .bos_token_id = 2,
                                          .eos_token_id = 1,
                                          .pad_token_id = 0,
                                          .tie_word_embeddings = true,
                                          .hidden_act = "gelu_pytorch_tanh",
                                          .keys = {.hidden_act = "hidden_activation"}});
  ReadGemmaFacts(config, &spec);
  ReadSandwichNorms(config, &spec);
  spec.attention_softcap = SoftCap(config, "attn_logit_softcapping", 50.0);
  spec.logit_softcap = SoftCap(config, "final_logit_softcapping", 30.0);
  const int64_t window = WindowOr(config, 4096);
  for (const bool sliding : SlidingLayers(config, spec.num_hidden_layers, 2)) spec.layers.push_back({sliding ? window : 0, 0});
  return spec;
}

}  // namespace ft
