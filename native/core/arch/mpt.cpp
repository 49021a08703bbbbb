// MPT: transformers/models/mpt, which knows the form that was released: ALiBi, no biases, norms without shifts, an MLP four
// times as wide. What else its configuration could say is refused.
#include <cmath>
#include <optional>

#include "core/arch/families.h"
#include "core/base/error.h"

namespace ft {
namespace {

constexpr int64_t kBiasMax = 8;  // negative exponent of two of the flattest slope
constexpr const char* kReleased = "Use an MPT checkpoint in its released form.";

// Of the next power of two of heads, the odd ones before the even ones where that is not their number.
std::vector<float> MptSlopes(int64_t heads) {
  int64_t power = 1;
  while (power < heads) power *= 2;
  std::vector<float> all, slopes;
  for (int64_t i = 1; i <= power; ++i) {
    all.push_back(static_cast<float>(std::exp2(-static_cast<double>(i) * static_cast<double>(kBiasMax) / static_cast<double>(power))));
  }
  if (power == heads) return all;
  for (const size_t first : {size_t{1}, size_t{0}}) {
    for (size_t i = first; i < all.size(); i += 2) slopes.push_back(all[i]);
  }
  slopes.resize(static_cast<size_t>(heads));
  return slopes;
}

void ParseAttention(const std::optional<ConfigReader>& attention, DecoderSpec* spec) {
  if (attention) {
    for (const char* flag : {"prefix_lm", "qk_ln", "attn_uses_sequence_id"}) {
      if (attention->Bool(flag, false)) attention->Unsupported(flag, "", kReleased);
    }
    if (!attention->Bool("alibi", true)) attention->Unsupported("alibi", "false (learned positions)", kReleased);
    const std::string type = attention->Text("attn_type", "multihead_attention");
    if (type != "multihead_attention") attention->Unsupported("attn_type", JsonQuote(Shorten(type)), kReleased);
    spec->clip_qkv = attention->OptionalNumber("clip_qkv", 0, 1e30).value_or(0);
    spec->attention_scale = attention->OptionalNumber("softmax_scale", 0, 1e30, /*above_min=*/true).value_or(0);
    // transformers takes 8 whatever this says.
    if (attention->Int("alibi_bias_max", kBiasMax, 1, 64) != kBiasMax) attention->Unsupported("alibi_bias_max", "other than 8", kReleased);
  }
  spec->alibi.slopes = MptSlopes(spec->num_attention_heads);
}

}  // namespace

DecoderSpec ParseMpt(const ConfigReader& config) {
  if (!config.Bool("no_bias", true)) config.Unsupported("no_bias", "false", kReleased);
  if (config.Has("logit_scale")) config.Unsupported("logit_scale", "", kReleased);
  if (config.Int("expansion_ratio", 4, 1, 1024) != 4) config.Unsupported("expansion_ratio", "other than 4", kReleased);
  CommonKeys keys;
  keys.hidden_size = config.AnyOf("d_model", "hidden_size");
  keys.num_hidden_layers = config.AnyOf("n_layers", "num_hidden_layers");
  keys.num_attention_heads = config.AnyOf("n_heads", "num_attention_heads");
  keys.intermediate_size = keys.num_key_value_heads = keys.head_dim = keys.hidden_act = "";
  keys.max_position_embeddings = "max_seq_len";
  keys.norm_eps = "layer_norm_epsilon";
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 50368,
                                               .hidden_size = 2048,
                                               .intermediate_size = 0,
                                               .num_hidden_layers = 24,
                                               .num_attention_heads = 16,
                                               .num_key_value_heads = 0,
                                               .head_dim = 0,
                                               .max_position_embeddings = 2048,
                                               .bos_token_id = -1,
                                               .eos_token_id = -1,
                                               .norm_eps = 1e-5,
                                               .tie_word_embeddings = true,
                                               .hidden_act = "gelu",
                                               .keys = keys});
  ParseAttention(config.Object("attn_config"), &spec);
  spec.norm = {.kind = NormKind::kLayer, .eps = spec.norm.eps};
  spec.gated_mlp = false;
  spec.layers = LayersWithoutRope(spec.num_hidden_layers);

  DecoderSpec::Names& names = spec.names;
  names.base_prefix = "transformer.";
  names.embed_tokens = "transformer.wte";
  names.attention_norm = "transformer.blocks.{}.norm_1";
  names.qkv_proj = "transformer.blocks.{}.attn.Wqkv";
  names.o_proj = "transformer.blocks.{}.attn.out_proj";
  names.mlp_norm = "transformer.blocks.{}.norm_2";
  names.up_proj = "transformer.blocks.{}.ffn.up_proj";
  names.down_proj = "transformer.blocks.{}.ffn.down_proj";
  names.norm = "transformer.norm_f";
  return spec;
}

}  // namespace ft
