// What the families after GPT-2 share: key spellings, tensor names, the decoder of GPT-2 and GPT-BigCode, slopes of ALiBi (https://arxiv.org/abs/2108.12409).
#include <cmath>

#include "core/arch/families.h"

namespace ft {

CommonKeys GptKeys(const ConfigReader& config) {
  CommonKeys keys;
  keys.hidden_size = config.AnyOf("n_embd", "hidden_size");
  keys.num_hidden_layers = config.AnyOf("n_layer", "num_hidden_layers");
  keys.num_attention_heads = config.AnyOf("n_head", "num_attention_heads");
  keys.max_position_embeddings = config.AnyOf("n_positions", "max_position_embeddings");
  keys.intermediate_size = "n_inner";
  keys.num_key_value_heads = keys.head_dim = "";
  keys.norm_eps = "layer_norm_epsilon";
  keys.hidden_act = "activation_function";
  return keys;
}

DecoderSpec::Names GptNames() {
  DecoderSpec::Names names;
  names.base_prefix = "transformer.";
  names.embed_tokens = "transformer.wte";
  names.position_embeddings = "transformer.wpe";
  names.attention_norm = "transformer.h.{}.ln_1";
  names.mlp_norm = "transformer.h.{}.ln_2";
  names.norm = "transformer.ln_f";
  return names;
}

DecoderSpec ParseGptLike(const ConfigReader& config, const char* hidden_act) {
  if (config.Bool("add_cross_attention", false)) {
    config.Unsupported("add_cross_attention", "", "Use a decoder without an encoder.");
  }
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 50257,
                                               .hidden_size = 768,
                                               .intermediate_size = 0,
                                               .num_hidden_layers = 12,
                                               .num_attention_heads = 12,
                                               .num_key_value_heads = 0,
                                               .head_dim = 0,
                                               .max_position_embeddings = 1024,
                                               .bos_token_id = 50256,
                                               .eos_token_id = 50256,
                                               .norm_eps = 1e-5,
                                               .tie_word_embeddings = true,
                                               .hidden_act = hidden_act,
                                               .keys = GptKeys(config)});
  spec.norm = {.kind = NormKind::kLayer, .eps = spec.norm.eps, .bias = true};
  spec.gated_mlp = false;
  spec.qkv_bias = spec.o_bias = spec.mlp_bias = true;
  spec.layers = LayersWithoutRope(spec.num_hidden_layers);

  spec.names = GptNames();
  spec.names.qkv_proj = "transformer.h.{}.attn.c_attn";
  spec.names.o_proj = "transformer.h.{}.attn.c_proj";
  spec.names.up_proj = "transformer.h.{}.mlp.c_fc";
  spec.names.down_proj = "transformer.h.{}.mlp.c_proj";
  return spec;
}

std::vector<LayerSpec> LayersWithoutRope(int64_t num_hidden_layers) {
  LayerSpec layer;
  layer.rope = -1;
  return std::vector<LayerSpec>(static_cast<size_t>(num_hidden_layers), layer);
}

// 2^(−8/n), 2^(−16/n) … for the largest power of two n in the number of heads; the others take every second one for 2n.
std::vector<float> AlibiSlopes(int64_t heads) {
  int64_t power = 1;
  while (2 * power <= heads) power *= 2;
  const auto base = [](int64_t n) { return static_cast<float>(std::exp2(-8.0 / static_cast<double>(n))); };
  std::vector<float> slopes;
  for (int64_t i = 1; i <= power; ++i) slopes.push_back(static_cast<float>(std::pow(static_cast<double>(base(power)), static_cast<double>(i))));
  for (int64_t i = 0; i < heads - power; ++i) {
    slopes.push_back(static_cast<float>(std::pow(static_cast<double>(base(2 * power)), static_cast<double>(2 * i + 1))));
  }
  return slopes;
}

}  // namespace ft
