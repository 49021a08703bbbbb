// GPT-J: transformers/models/gptj. Neighbouring dimensions turn in pairs, attention and MLP read one norm and are added
// together, the head has a bias.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseGptJ(const ConfigReader& config) {
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 50400,
                                               .hidden_size = 4096,
                                               .intermediate_size = 0,
                                               .num_hidden_layers = 28,
                                               .num_attention_heads = 16,
                                               .num_key_value_heads = 0,
                                               .head_dim = 0,
                                               .max_position_embeddings = 2048,
                                               .bos_token_id = 50256,
                                               .eos_token_id = 50256,
                                               .norm_eps = 1e-5,
                                               .hidden_act = "gelu_new",
                                               .keys = GptKeys(config)});
  RopeSpec rope;
  rope.dim = config.Int("rotary_dim", 64, 2, spec.head_dim);
  if (rope.dim % 2 != 0) config.Bad("rotary_dim", "an even number (dimensions turn in pairs)");
  rope.interleaved = true;
  spec.ropes = {rope};
  spec.layers = UniformLayers(config, spec.num_hidden_layers, 0);
  spec.norm = {.kind = NormKind::kLayer, .eps = spec.norm.eps, .bias = true};
  spec.parallel_residual = true;
  spec.gated_mlp = false;
  spec.mlp_bias = spec.head_bias = true;

  spec.names = GptNames();
  spec.names.position_embeddings = spec.names.mlp_norm = "";
  spec.names.q_proj = "transformer.h.{}.attn.q_proj";
  spec.names.k_proj = "transformer.h.{}.attn.k_proj";
  spec.names.v_proj = "transformer.h.{}.attn.v_proj";
  spec.names.o_proj = "transformer.h.{}.attn.out_proj";
  spec.names.up_proj = "transformer.h.{}.mlp.fc_in";
  spec.names.down_proj = "transformer.h.{}.mlp.fc_out";
  return spec;
}

}  // namespace ft
