// Falcon: transformers/models/falcon, in its three forms. 7B: one key-value head, attention and MLP on one norm. 40B and 11B
// ("new decoder"): groups of heads, two norms or one. RW: ALiBi, heads of their own, MLP behind attention.
#include <cmath>

#include "core/arch/families.h"

namespace ft {
namespace {

constexpr const char* kFormRemedy = "Falcon checkpoints have new_decoder_architecture with parallel_attn, or multi_query, or neither.";

// Which norms there are, and whether attention and MLP are parallel.
void ParseNorms(const ConfigReader& config, bool new_decoder, DecoderSpec* spec) {
  const bool parallel = config.Bool("parallel_attn", true);
  if (new_decoder && !parallel) config.Unsupported("parallel_attn", "false with new_decoder_architecture", kFormRemedy);
  const int64_t norms = config.OptionalInt("num_ln_in_parallel_attn", 1, 2).value_or(new_decoder ? 2 : 1);
  if (norms == 2 && parallel && !new_decoder) config.Unsupported("num_ln_in_parallel_attn", "2 without new_decoder_architecture", kFormRemedy);
  spec->parallel_residual = parallel;
  spec->names.attention_norm = "transformer.h.{}.input_layernorm";
  spec->names.mlp_norm = parallel ? "" : "transformer.h.{}.post_attention_layernorm";
  if (norms == 2 && parallel) {
    spec->names.attention_norm = "transformer.h.{}.ln_attn";
    spec->names.mlp_norm = "transformer.h.{}.ln_mlp";
  }
}

void ParseFalconHeads(const ConfigReader& config, bool new_decoder, DecoderSpec* spec) {
  const int64_t heads = spec->num_attention_heads;
  const int64_t stated = config.OptionalInt("num_kv_heads", 1, kMaxHeads).value_or(heads);
  const bool one = !new_decoder && config.Bool("multi_query", true);
  if (!new_decoder && !one && stated != heads) {
    config.Bad("num_kv_heads", "num_attention_heads where neither multi_query nor new_decoder_architecture is set", std::to_string(stated));
  }
  if (heads % stated != 0) config.Bad("num_kv_heads", "a divisor of num_attention_heads (" + std::to_string(heads) + ")");
  spec->num_key_value_heads = one ? 1 : stated;
  spec->qkv_order = QkvOrder::kGrouped;
}

}  // namespace

DecoderSpec ParseFalcon(const ConfigReader& config) {
  CommonKeys keys;
  keys.hidden_size = config.AnyOf("n_embed", "hidden_size");
  keys.intermediate_size = "ffn_hidden_size";
  keys.num_key_value_heads = keys.head_dim = "";
  keys.norm_eps = "layer_norm_epsilon";
  keys.hidden_act = "activation";
  const CommonDefaults defaults{.vocab_size = 65024,
                                .hidden_size = 4544,
                                .intermediate_size = 0,
                                .num_hidden_layers = 32,
                                .num_attention_heads = 71,
                                .num_key_value_heads = 0,
                                .head_dim = 0,
                                .max_position_embeddings = 2048,
                                .bos_token_id = 11,
                                .eos_token_id = 11,
                                .norm_eps = 1e-5,
                                .tie_word_embeddings = true,
                                .hidden_act = "gelu",
                                .keys = keys};
  const bool alibi = config.Bool("alibi", false);
  DecoderSpec spec = alibi ? ParseWithoutRope(config, defaults) : ParseCommon(config, defaults);
  const bool new_decoder = config.Bool("new_decoder_architecture", false);
  ParseFalconHeads(config, new_decoder, &spec);
  ParseNorms(config, new_decoder, &spec);
  spec.norm = {.kind = NormKind::kLayer, .eps = spec.norm.eps, .bias = true};
  spec.gated_mlp = false;
  spec.qkv_bias = spec.o_bias = spec.mlp_bias = config.Bool("bias", false);
  spec.layers = alibi ? LayersWithoutRope(spec.num_hidden_layers) : UniformLayers(config, spec.num_hidden_layers, 0);
  if (alibi) {
    // The family computes its biases in bfloat16 and scales them as it does the products.
    spec.alibi = {AlibiSlopes(spec.num_attention_heads), /*in_bf16=*/true, 1 / std::sqrt(static_cast<double>(spec.head_dim))};
  }

  DecoderSpec::Names& names = spec.names;
  names.base_prefix = "transformer.";
  names.embed_tokens = "transformer.word_embeddings";
  names.qkv_proj = "transformer.h.{}.self_attention.query_key_value";
  names.o_proj = "transformer.h.{}.self_attention.dense";
  names.up_proj = "transformer.h.{}.mlp.dense_h_to_4h";
  names.down_proj = "transformer.h.{}.mlp.dense_4h_to_h";
  names.norm = "transformer.ln_f";
  return spec;
}

}  // namespace ft
