// DeepSeek V2: transformers/models/deepseek_v2. Multi-head latent attention; after some dense layers, experts with shared ones.
#include "core/arch/families.h"
#include "core/arch/moe_config.h"
#include "core/base/error.h"

namespace ft {

DecoderSpec ParseDeepseekV2(const ConfigReader& config) {
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 102400,
                                               .intermediate_size = 11008,
                                               .num_key_value_heads = 0,
                                               .head_dim = 64,
                                               .max_position_embeddings = 2048,
                                               .bos_token_id = 1,
                                               .eos_token_id = 2});
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  ReadLatentAttention(config, /*interleaved=*/true, &spec);
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", false);
  spec.mlp_bias = config.Bool("mlp_bias", false);
  ReadExperts(config, {"n_routed_experts", 64, 0, "moe_intermediate_size", 1407}, &spec.moe);
  spec.moe.router.scaling_factor = config.Number("routed_scaling_factor", 1.0, 0, 1e6);
  const std::string method = config.Text("topk_method", "greedy");
  if (method == "group_limited_greedy") {
    ReadExpertGroups(config, 0, 0, GroupScore::kBest, &spec.moe.router);
  } else if (method != "greedy") {
    config.Unsupported("topk_method", JsonQuote(Shorten(method)), "Supported: greedy, group_limited_greedy.");
  }
  ReadSharedExperts(config, {.experts = 2, .dense_layers = 0}, &spec);
  return spec;
}

}  // namespace ft
