// GPT-NeoX (Pythia): transformers/models/gpt_neox. Each head's query, key and value stand together, a part of each head
// turns, attention and MLP read norms of their own of the same stream. The head is a module lm_head that files call embed_out.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGptNeoX(const ConfigReader& config) {
  CommonKeys keys;
  keys.num_key_value_heads = "";
  keys.norm_eps = "layer_norm_eps";
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 50432,
                                          .hidden_size = 6144,
                                          .intermediate_size = 24576,
                                          .num_hidden_layers = 44,
                                          .num_attention_heads = 64,
                                          .num_key_value_heads = 0,
                                          .head_dim = 0,
                                          .max_position_embeddings = 2048,
                                          .bos_token_id = 0,
                                          .eos_token_id = 2,
                                          .norm_eps = 1e-5,
                                          .hidden_act = "gelu",
                                          .rope_theta = config.Number("rotary_emb_base", 10000.0, 0, 1e12, /*above_min=*/true),
                                          .partial_rotary_factor = config.Number("rotary_pct", 0.25, 0, 1, /*above_min=*/true),
                                          .keys = keys});
  spec.norm = {.kind = NormKind::kLayer, .eps = spec.norm.eps, .bias = true};
  spec.parallel_residual = config.Bool("use_parallel_residual", true);
  spec.gated_mlp = false;
  spec.qkv_order = QkvOrder::kGrouped;
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", true);
  spec.mlp_bias = true;
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);

  DecoderSpec::Names& names = spec.names;
  names.base_prefix = "gpt_neox.";
  names.embed_tokens = "gpt_neox.embed_in";
  names.attention_norm = "gpt_neox.layers.{}.input_layernorm";
  names.qkv_proj = "gpt_neox.layers.{}.attention.query_key_value";
  names.o_proj = "gpt_neox.layers.{}.attention.dense";
  names.mlp_norm = "gpt_neox.layers.{}.post_attention_layernorm";
  names.up_proj = "gpt_neox.layers.{}.mlp.dense_h_to_4h";
  names.down_proj = "gpt_neox.layers.{}.mlp.dense_4h_to_h";
  names.norm = "gpt_neox.final_layer_norm";
  names.lm_head_in_files = "embed_out";
  return spec;
}

}  // namespace ft
