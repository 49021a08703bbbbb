// Mixtral: transformers/models/mixtral. Mistral's attention; every layer's MLP is a mixture of experts whose chosen weights sum to one.
// router_jitter_noise, noise of the training of the published models, is left out like dropout.
#include "core/arch/families.h"
#include "core/arch/moe_config.h"

namespace ft {

DecoderSpec ParseMixtral(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 32000,
                                          .intermediate_size = 14336,
                                          .num_key_value_heads = 8,
                                          .head_dim = 0,
                                          .max_position_embeddings = 4096 * 32,
                                          .bos_token_id = 1,
                                          .eos_token_id = 2,
                                          .norm_eps = 1e-5,
                                          .rope_theta = 1e6});
  spec.layers = UniformLayers(config, spec.num_hidden_layers, WindowOr(config, 0));
  ReadExperts(config, {"num_local_experts", 8, 2, "intermediate_size", 14336}, &spec.moe);
  spec.moe.router.renormalise = true;
  spec.moe.aux_loss_coef = AuxLossCoef(config);
  MarkLayersAfter(0, &spec);
  // Files call modules otherwise than transformers 5 (and PEFT) does.
  spec.names.stored_router = "model.layers.{}.block_sparse_moe.gate";
  spec.names.expert_gate = "model.layers.{}.block_sparse_moe.experts.{}.w1";
  spec.names.expert_up = "model.layers.{}.block_sparse_moe.experts.{}.w3";
  spec.names.expert_down = "model.layers.{}.block_sparse_moe.experts.{}.w2";
  spec.moe.renamed_targets = true;
  return spec;
}

}  // namespace ft
