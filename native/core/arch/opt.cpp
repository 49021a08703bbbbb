// OPT: transformers/models/opt. Learned positions from row 2 on. The 350M release norms behind each sum, has no final norm,
// and an embedding narrower than its layers with a projection on either side.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseOpt(const ConfigReader& config) {
  CommonKeys keys;
  keys.intermediate_size = "ffn_dim";
  keys.num_key_value_heads = keys.head_dim = keys.norm_eps = "";
  keys.hidden_act = "activation_function";
  keys.initializer_range = "init_std";
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 50272,
                                               .hidden_size = 768,
                                               .intermediate_size = 3072,
                                               .num_hidden_layers = 12,
                                               .num_attention_heads = 12,
                                               .num_key_value_heads = 0,
                                               .head_dim = 0,
                                               .max_position_embeddings = 2048,
                                               .bos_token_id = 2,
                                               .eos_token_id = 2,
                                               .pad_token_id = 1,
                                               .norm_eps = 1e-5,
                                               .tie_word_embeddings = true,
                                               .hidden_act = "relu",
                                               .keys = keys});
  const bool affine = config.Bool("layer_norm_elementwise_affine", true);
  const bool before = config.Bool("do_layer_norm_before", true);
  spec.norm = {.kind = NormKind::kLayer, .eps = spec.norm.eps, .weight = affine, .bias = affine};
  spec.norm_place = before ? NormPlace::kBefore : NormPlace::kBehindSum;
  spec.gated_mlp = false;
  spec.qkv_bias = spec.o_bias = spec.mlp_bias = config.Bool("enable_bias", true);
  spec.position_offset = 2;
  spec.layers = LayersWithoutRope(spec.num_hidden_layers);

  DecoderSpec::Names& names = spec.names;
  const int64_t embedding = config.OptionalInt("word_embed_proj_dim", 1, kMaxWidth).value_or(spec.hidden_size);
  if (embedding != spec.hidden_size) {
    spec.embedding_size = embedding;
    names.project_in = "model.decoder.project_in";
    names.project_out = "model.decoder.project_out";
  }
  names.embed_tokens = "model.decoder.embed_tokens";
  names.position_embeddings = "model.decoder.embed_positions";
  names.attention_norm = "model.decoder.layers.{}.self_attn_layer_norm";
  names.q_proj = "model.decoder.layers.{}.self_attn.q_proj";
  names.k_proj = "model.decoder.layers.{}.self_attn.k_proj";
  names.v_proj = "model.decoder.layers.{}.self_attn.v_proj";
  names.o_proj = "model.decoder.layers.{}.self_attn.out_proj";
  names.mlp_norm = "model.decoder.layers.{}.final_layer_norm";
  names.up_proj = "model.decoder.layers.{}.fc1";
  names.down_proj = "model.decoder.layers.{}.fc2";
  const bool final_norm = before && !config.Bool("_remove_final_layer_norm", false);
  names.norm = final_norm ? "model.decoder.final_layer_norm" : "";
  return spec;
}

}  // namespace ft
