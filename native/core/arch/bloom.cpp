// BLOOM: transformers/models/bloom. No positions but biases of keys (ALiBi), a norm behind the embedding, each head's query,
// key and value together. pretraining_tp alone says how the model was trained.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseBloom(const ConfigReader& config) {
  CommonKeys keys;
  keys.hidden_size = config.AnyOf("n_embed", "hidden_size");
  keys.num_hidden_layers = config.AnyOf("n_layer", "num_hidden_layers");
  keys.num_attention_heads = config.AnyOf("n_head", "num_attention_heads");
  keys.intermediate_size = keys.num_key_value_heads = keys.head_dim = keys.hidden_act = "";
  keys.max_position_embeddings = "seq_length";  // of the training; nothing limits a row
  keys.norm_eps = "layer_norm_epsilon";
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 250880,
                                               .hidden_size = 64,
                                               .intermediate_size = 0,
                                               .num_hidden_layers = 2,
                                               .num_attention_heads = 8,
                                               .num_key_value_heads = 0,
                                               .head_dim = 0,
                                               .max_position_embeddings = 2048,
                                               .bos_token_id = 1,
                                               .eos_token_id = 2,
                                               .norm_eps = 1e-5,
                                               .tie_word_embeddings = true,
                                               .hidden_act = "gelu_pytorch_tanh",
                                               .keys = keys});
  if (config.Bool("slow_but_exact", false) && config.Int("pretraining_tp", 1, 1, 1 << 20) > 1) {
    config.Unsupported("slow_but_exact", "with pretraining_tp above 1, which leaves biases out", "Set slow_but_exact to false.");
  }
  spec.norm = {.kind = NormKind::kLayer, .eps = spec.norm.eps, .bias = true};
  if (config.Bool("apply_residual_connection_post_layernorm", false)) spec.norm_place = NormPlace::kBeforeBoth;
  spec.gated_mlp = false;
  spec.qkv_order = QkvOrder::kGrouped;
  spec.qkv_bias = spec.o_bias = spec.mlp_bias = true;
  spec.alibi.slopes = AlibiSlopes(spec.num_attention_heads);
  spec.layers = LayersWithoutRope(spec.num_hidden_layers);

  DecoderSpec::Names& names = spec.names;
  names.base_prefix = "transformer.";
  names.embed_tokens = "transformer.word_embeddings";
  names.embedding_norm = "transformer.word_embeddings_layernorm";
  names.attention_norm = "transformer.h.{}.input_layernorm";
  names.qkv_proj = "transformer.h.{}.self_attention.query_key_value";
  names.o_proj = "transformer.h.{}.self_attention.dense";
  names.mlp_norm = "transformer.h.{}.post_attention_layernorm";
  names.up_proj = "transformer.h.{}.mlp.dense_h_to_4h";
  names.down_proj = "transformer.h.{}.mlp.dense_4h_to_h";
  names.norm = "transformer.ln_f";
  return spec;
}

}  // namespace ft
