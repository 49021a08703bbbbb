// Qwen3 MoE (Qwen3-30B-A3B, Qwen3-235B-A22B): transformers/models/qwen3_moe. Qwen3's attention, one window for all layers, experts
// without a shared one.
#include "core/arch/families.h"
#include "core/arch/moe_config.h"

namespace ft {

DecoderSpec ParseQwen3Moe(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 151936,
                                          .hidden_size = 2048,
                                          .intermediate_size = 6144,
                                          .num_hidden_layers = 24,
                                          .num_key_value_heads = 4,
                                          .head_dim = 0,
                                          .max_position_embeddings = 32768,
                                          .bos_token_id = -1,
                                          .eos_token_id = -1});
  spec.qk_norm = QkNorm::kHead;
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", false);
  const int64_t window = config.Bool("use_sliding_window", false) ? WindowOr(config, 4096) : 0;
  spec.layers = UniformLayers(config, spec.num_hidden_layers, window);
  // transformers 5 writes num_experts under its other name.
  ReadExperts(config, {config.Has("num_local_experts") ? "num_local_experts" : "num_experts", 128, 8, "moe_intermediate_size", 768}, &spec.moe);
  spec.moe.router.renormalise = config.Bool("norm_topk_prob", false);
  spec.moe.aux_loss_coef = AuxLossCoef(config);
  spec.moe.renamed_targets = true;
  MarkSparseLayers(config, &spec);
  return spec;
}

}  // namespace ft
