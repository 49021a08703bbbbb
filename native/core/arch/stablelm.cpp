// StableLM: transformers/models/stablelm. LayerNorm, a quarter of each head turns, biases on q, k, v and norms on q and k by choice,
// a parallel residual by choice.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseStableLm(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 50304,
                                          .hidden_size = 2560,
                                          .intermediate_size = 6912,
                                          .num_key_value_heads = 32,
                                          .head_dim = 0,
                                          .max_position_embeddings = 4096,
                                          .bos_token_id = 0,
                                          .eos_token_id = 0,
                                          .norm_eps = 1e-5,
                                          .partial_rotary_factor = 0.25,
                                          .keys = {.norm_eps = "layer_norm_eps"}});
  spec.norm.kind = spec.qk_norm_spec.kind = NormKind::kLayer;
  spec.norm.bias = true;
  spec.qkv_bias = config.Bool("use_qkv_bias", false);
  if (config.Bool("qk_layernorm", false)) {
    spec.qk_norm = QkNorm::kHeadList;
    spec.names.q_norm = "model.layers.{}.self_attn.q_layernorm.norms.{}";
    spec.names.k_norm = "model.layers.{}.self_attn.k_layernorm.norms.{}";
  }
  spec.parallel_residual = config.Bool("use_parallel_residual", false);
  if (spec.parallel_residual) spec.names.mlp_norm = "";  // the MLP reads what attention reads
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  return spec;
}

}  // namespace ft
