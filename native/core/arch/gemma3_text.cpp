// Gemma 3, its text model: transformers/models/gemma3. As Gemma 2 with norms on queries and keys in place of the caps, and two rotary
// embeddings: one of full, one of sliding layers.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGemma3Text(const ConfigReader& config) {
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 262208,
                                               .hidden_size = 2304,
                                               .intermediate_size = 9216,
                                               .num_hidden_layers = 26,
                                               .num_attention_heads = 8,
                                               .num_key_value_heads = 4,
                                               .head_dim = 256,
                                               .max_position_embeddings = 131072,
                                               .bos_token_id = 2,
                                               .eos_token_id = 1,
                                               .pad_token_id = 0,
                                               .tie_word_embeddings = true,
                                               .hidden_act = "gelu_pytorch_tanh",
                                               .keys = {.hidden_act = "hidden_activation"}});
  ReadGemmaFacts(config, &spec);
  ReadSandwichNorms(config, &spec);
  spec.qk_norm = QkNorm::kHead;
  spec.logit_softcap = SoftCap(config, "final_logit_softcapping", 0.0);
  // attn_logit_softcapping is not read: transformers' attention does not use it here.
  spec.ropes = ParseRopesByType(config, spec, {.full_theta = 1e6, .sliding_theta = 1e4, .sliding_theta_key = "rope_local_base_freq"});
  const int64_t window = WindowOr(config, 4096);
  for (const bool sliding : SlidingLayers(config, spec.num_hidden_layers, 6)) spec.layers.push_back({sliding ? window : 0, sliding ? 1 : 0});
  return spec;
}

}  // namespace ft
