// gpt-oss: transformers/models/gpt_oss. Every second layer slides, heads have sinks, experts have biases and a clamped gate; the
// chosen experts' logits alone make their weights.
#include "core/arch/families.h"
#include "core/arch/moe_config.h"
#include "core/base/error.h"

namespace ft {
namespace {

RopeSpec Rope(const ConfigReader& config, const DecoderSpec& spec) {
  if (config.Object("rope_scaling") || config.Object("rope_parameters")) return ParseRope(config, spec, {.rope_theta = 150000.0});
  RopeSpec rope;  // what the configuration class fills in
  rope.type = RopeType::kYarn;
  rope.dim = spec.head_dim;
  rope.rope_theta = config.Number("rope_theta", 150000.0, 1, 1e12, /*above_min=*/true);
  rope.factor = 32.0;
  rope.truncate = false;
  rope.original_max_position_embeddings = 4096;
  return rope;
}

std::vector<LayerSpec> Layers(const ConfigReader& config, int64_t count) {
  const std::vector<bool> sliding = SlidingLayers(config, count, [](int64_t layer) { return layer % 2 == 0; });
  const int64_t window = WindowOr(config, 128);
  std::vector<LayerSpec> layers(static_cast<size_t>(count));
  for (size_t i = 0; i < layers.size(); ++i) {
    if (sliding[i] && window == 0) config.Bad("sliding_window", "a window (some layers slide)", "null");
    if (sliding[i]) layers[i].sliding_window = window;
  }
  return layers;
}

}  // namespace

DecoderSpec ParseGptOss(const ConfigReader& config) {
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 201088,
                                               .hidden_size = 2880,
                                               .intermediate_size = 2880,
                                               .num_hidden_layers = 36,
                                               .num_attention_heads = 64,
                                               .num_key_value_heads = 8,
                                               .head_dim = 64,
                                               .max_position_embeddings = 131072,
                                               .bos_token_id = -1,
                                               .eos_token_id = -1,
                                               .norm_eps = 1e-5});
  spec.ropes = {Rope(config, spec)};
  spec.layers = Layers(config, spec.num_hidden_layers);
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", true);
  spec.attention_sinks = true;
  // transformers has no other limit, whatever this key says.
  if (config.Number("swiglu_limit", 7.0, 0, 1e6) != 7.0) config.Unsupported("swiglu_limit", "other than 7", "Use a checkpoint with the published limit.");
  ReadExperts(config, {"num_local_experts", 128, 4, "intermediate_size", 2880}, &spec.moe);
  spec.moe.router.score = RouterScore::kChosen;
  spec.moe.router_bias = spec.moe.expert_bias = spec.moe.clamped_gate = true;
  spec.moe.storage = ExpertStorage::kFused;
  spec.moe.aux_loss_coef = AuxLossCoef(config);
  spec.names.router = "model.layers.{}.mlp.router";
  MarkLayersAfter(0, &spec);
  return spec;
}

}  // namespace ft
