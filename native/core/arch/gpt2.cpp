// GPT-2: transformers/models/gpt2. Learned positions, LayerNorm, linear weights stored [in, out] (Conv1D), queries, keys
// and values in one. reorder_and_upcast_attn changes roundings alone.
#include <cmath>

#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGpt2(const ConfigReader& config) {
  if (config.Bool("add_cross_attention", false)) {
    config.Unsupported("add_cross_attention", "", "Use a decoder without an encoder.");
  }
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 50257,
                                               .hidden_size = 768,
                                               .intermediate_size = 0,
                                               .num_hidden_layers = 12,
                                               .num_attention_heads = 12,
                                               .num_key_value_heads = 0,
                                               .head_dim = 0,
                                               .max_position_embeddings = 1024,
                                               .bos_token_id = 50256,
                                               .eos_token_id = 50256,
                                               .norm_eps = 1e-5,
                                               .tie_word_embeddings = true,
                                               .hidden_act = "gelu_new",
                                               .keys = GptKeys(config)});
  spec.norm = {.kind = NormKind::kLayer, .eps = spec.norm.eps, .bias = true};
  spec.gated_mlp = false;
  spec.transposed = true;
  spec.qkv_bias = spec.o_bias = spec.mlp_bias = true;
  spec.layers = LayersWithoutRope(spec.num_hidden_layers);
  const bool scaled = config.Bool("scale_attn_weights", true);
  const bool by_layer = config.Bool("scale_attn_by_inverse_layer_idx", false);
  spec.attention_scale = scaled ? 1 / std::sqrt(static_cast<double>(spec.head_dim)) : 1.0;
  for (size_t i = 0; by_layer && i < spec.layers.size(); ++i) {
    spec.layers[i].attention_scale = spec.attention_scale / static_cast<double>(i + 1);
  }

  spec.names = GptNames();
  spec.names.qkv_proj = "transformer.h.{}.attn.c_attn";
  spec.names.o_proj = "transformer.h.{}.attn.c_proj";
  spec.names.up_proj = "transformer.h.{}.mlp.c_fc";
  spec.names.down_proj = "transformer.h.{}.mlp.c_proj";
  return spec;
}

}  // namespace ft
