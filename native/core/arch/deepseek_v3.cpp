// DeepSeek V3 and R1: transformers/models/deepseek_v3. V2's attention; experts are scored by a sigmoid, chosen with a bias that training
// of the published models moved, inside the best groups.
#include "core/arch/families.h"
#include "core/arch/moe_config.h"

namespace ft {

DecoderSpec ParseDeepseekV3(const ConfigReader& config) {
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 129280,
                                               .hidden_size = 7168,
                                               .intermediate_size = 18432,
                                               .num_hidden_layers = 61,
                                               .num_attention_heads = 128,
                                               .num_key_value_heads = 128,
                                               .head_dim = 64,
                                               .max_position_embeddings = 4096,
                                               .bos_token_id = 0,
                                               .eos_token_id = 1});
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  ReadLatentAttention(config, /*interleaved=*/config.Bool("rope_interleave", true), &spec);
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", false);
  ReadExperts(config, {"n_routed_experts", 256, 8, "moe_intermediate_size", 2048}, &spec.moe);
  RouterSpec& router = spec.moe.router;
  router.score = RouterScore::kSigmoid;
  router.correction_bias = true;
  router.renormalise = config.Bool("norm_topk_prob", true);
  router.epsilon = 1e-20;
  router.scaling_factor = config.Number("routed_scaling_factor", 2.5, 0, 1e6);
  ReadExpertGroups(config, 8, 4, GroupScore::kBestTwo, &router);
  ReadSharedExperts(config, {.experts = 1, .dense_layers = 3}, &spec);
  return spec;
}

}  // namespace ft
