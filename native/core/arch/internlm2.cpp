// InternLM2 and 2.5 (https://arxiv.org/abs/2403.17297): Llama with queries, keys and values fused by groups, under tensor
// names of its own. Not in transformers; the keys are those of the released checkpoints.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseInternLm2(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 103168,
                                          .intermediate_size = 11008,
                                          .num_key_value_heads = 0,
                                          .head_dim = 0,
                                          .max_position_embeddings = 2048,
                                          .bos_token_id = 1,
                                          .eos_token_id = 2,
                                          .pad_token_id = 0});
  spec.qkv_bias = spec.o_bias = config.Bool("bias", true);
  spec.qkv_order = QkvOrder::kGrouped;
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);

  DecoderSpec::Names& names = spec.names;
  names.embed_tokens = "model.tok_embeddings";
  names.attention_norm = "model.layers.{}.attention_norm";
  names.qkv_proj = "model.layers.{}.attention.wqkv";
  names.o_proj = "model.layers.{}.attention.wo";
  names.mlp_norm = "model.layers.{}.ffn_norm";
  names.gate_proj = "model.layers.{}.feed_forward.w1";
  names.up_proj = "model.layers.{}.feed_forward.w3";
  names.down_proj = "model.layers.{}.feed_forward.w2";
  names.lm_head = "output";
  return spec;
}

}  // namespace ft
