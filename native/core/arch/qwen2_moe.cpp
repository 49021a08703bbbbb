// Qwen2 MoE (Qwen1.5-MoE, Qwen2-57B-A14B): transformers/models/qwen2_moe. Qwen2's attention; layers with experts have a shared expert
// behind a gate of its own.
#include "core/arch/families.h"
#include "core/arch/moe_config.h"

namespace ft {
namespace {

// Without layer_types, transformers lets every second layer of the first max_window_layers slide.
std::vector<LayerSpec> Layers(const ConfigReader& config, int64_t count) {
  const bool wanted = config.Bool("use_sliding_window", false);
  const int64_t end = config.Int("max_window_layers", 28, 0, kMaxPositions), window = wanted ? WindowOr(config, 4096) : 0;
  const std::vector<bool> sliding = SlidingLayers(config, count, [&](int64_t layer) { return wanted && layer % 2 == 0 && layer < end; });
  std::vector<LayerSpec> layers(static_cast<size_t>(count));
  for (size_t i = 0; i < layers.size(); ++i) {
    if (sliding[i] && window == 0) config.Bad("layer_types", "no sliding_attention without use_sliding_window and sliding_window", "sliding_attention");
    if (sliding[i]) layers[i].sliding_window = window;
  }
  return layers;
}

}  // namespace

DecoderSpec ParseQwen2Moe(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 151936,
                                          .hidden_size = 2048,
                                          .intermediate_size = 5632,
                                          .num_hidden_layers = 24,
                                          .num_attention_heads = 16,
                                          .num_key_value_heads = 16,
                                          .head_dim = 0,
                                          .max_position_embeddings = 32768,
                                          .bos_token_id = -1,
                                          .eos_token_id = -1});
  spec.qkv_bias = config.Bool("qkv_bias", true);
  spec.layers = Layers(config, spec.num_hidden_layers);
  ReadExperts(config, {"num_experts", 60, 4, "moe_intermediate_size", 1408}, &spec.moe);
  spec.moe.router.renormalise = config.Bool("norm_topk_prob", false);
  spec.moe.aux_loss_coef = AuxLossCoef(config);
  spec.moe.shared_width = config.Int("shared_expert_intermediate_size", 5632, 1, kMaxWidth);
  spec.moe.shared_gate = true;
  MarkSparseLayers(config, &spec);
  return spec;
}

}  // namespace ft
