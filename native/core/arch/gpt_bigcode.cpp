// GPT-BigCode (SantaCoder, StarCoder): transformers/models/gpt_bigcode. GPT-2 with plain linear weights and one key-value
// head for all queries; without multi_query each head's query, key and value stand together.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGptBigCode(const ConfigReader& config) {
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
                                               .hidden_act = "gelu_pytorch_tanh",
                                               .keys = GptKeys(config)});
  if (config.Bool("multi_query", true)) {
    spec.num_key_value_heads = 1;
  } else {
    spec.qkv_order = QkvOrder::kGrouped;
  }
  spec.norm = {.kind = NormKind::kLayer, .eps = spec.norm.eps, .bias = true};
  spec.gated_mlp = false;
  spec.qkv_bias = spec.o_bias = spec.mlp_bias = true;
  if (!config.Bool("scale_attn_weights", true)) spec.attention_scale = 1.0;
  spec.layers = LayersWithoutRope(spec.num_hidden_layers);

  spec.names = GptNames();
  spec.names.qkv_proj = "transformer.h.{}.attn.c_attn";
  spec.names.o_proj = "transformer.h.{}.attn.c_proj";
  spec.names.up_proj = "transformer.h.{}.mlp.c_fc";
  spec.names.down_proj = "transformer.h.{}.mlp.c_proj";
  return spec;
}

}  // namespace ft
