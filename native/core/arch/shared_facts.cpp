// Facts that several families read in the same way, beyond those of every family (families.cpp).
#include <cmath>

#include "core/arch/families.h"

namespace ft {

void ReadGemmaFacts(const ConfigReader& config, DecoderSpec* spec) {
  if (config.Has("use_bidirectional_attention") && config.Bool("use_bidirectional_attention", false)) {
    config.Unsupported("use_bidirectional_attention", "true", "Use a checkpoint of a causal language model.");
  }
  spec->norm.unit_offset = spec->qk_norm_spec.unit_offset = true;
  spec->embedding_multiplier = std::sqrt(static_cast<double>(spec->hidden_size));
  spec->round_embedding_multiplier = true;
  spec->qkv_bias = spec->o_bias = config.Bool("attention_bias", false);
}

void NormsBehindOnly(DecoderSpec* spec) {
  spec->names.attention_norm = spec->names.mlp_norm = "";
  spec->names.attention_post_norm = "model.layers.{}.post_attention_layernorm";
  spec->names.mlp_post_norm = "model.layers.{}.post_feedforward_layernorm";
}

void ReadSandwichNorms(const ConfigReader& config, DecoderSpec* spec) {
  spec->names.attention_post_norm = "model.layers.{}.post_attention_layernorm";
  spec->names.mlp_norm = "model.layers.{}.pre_feedforward_layernorm";
  spec->names.mlp_post_norm = "model.layers.{}.post_feedforward_layernorm";
  spec->attention_scale = 1.0 / std::sqrt(config.Number("query_pre_attn_scalar", 256, 0, 1e9, /*above_min=*/true));
}

void ReadCohereFacts(const ConfigReader& config, DecoderSpec* spec) {
  spec->norm.kind = spec->qk_norm_spec.kind = NormKind::kLayer;
  spec->parallel_residual = true;
  spec->names.mlp_norm = "";  // the MLP reads what attention reads
  spec->ropes[0].interleaved = true;
  spec->logit_scale = config.Number("logit_scale", 0.0625, 0, 1e9, /*above_min=*/true);
  spec->qkv_bias = spec->o_bias = config.Bool("attention_bias", false);
}

double SoftCap(const ConfigReader& config, const char* key, double otherwise) {
  if (config.Find(key) == nullptr) return otherwise;
  return config.OptionalNumber(key, 0, 1e9, /*above_min=*/true).value_or(0);
}

int64_t WindowOr(const ConfigReader& config, int64_t otherwise) {
  if (config.Find("sliding_window") == nullptr) return otherwise;
  return config.OptionalInt("sliding_window", 1, kMaxPositions).value_or(0);
}

std::vector<bool> SlidingLayers(const ConfigReader& config, int64_t num_hidden_layers, const std::function<bool(int64_t)>& otherwise) {
  std::vector<bool> sliding;
  if (const auto types = config.TextList("layer_types")) {
    CheckLayerTypes(config, *types, num_hidden_layers);
    for (const std::string& type : *types) sliding.push_back(type == "sliding_attention");
  } else {
    for (int64_t layer = 0; layer < num_hidden_layers; ++layer) sliding.push_back(otherwise(layer));
  }
  return sliding;
}

std::vector<bool> SlidingLayers(const ConfigReader& config, int64_t num_hidden_layers, int64_t pattern) {
  const char* key = "sliding_window_pattern";
  const bool listed = config.Has("layer_types");  // then the pattern is not read, and may be of another type
  const int64_t period = listed ? pattern : config.Int(key, pattern, 1, kMaxLayers);
  return SlidingLayers(config, num_hidden_layers, [period](int64_t layer) { return (layer + 1) % period != 0; });
}

}  // namespace ft
