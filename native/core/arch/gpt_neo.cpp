// GPT-Neo: transformers/models/gpt_neo. Learned positions, scores that are not scaled, layers that see everything
// ("global") and layers with a window ("local").
#include <string>
#include <vector>

#include "core/arch/families.h"
#include "core/base/error.h"

namespace ft {
namespace {

// attention_types: [[["global", "local"], 12], …] is the list repeated twelve times, one entry a layer. True: local.
std::vector<bool> LocalLayers(const ConfigReader& config, int64_t num_layers) {
  const char* key = "attention_types";
  const std::string expected = fmt::format("a list of [[\"global\", \"local\", …], repetitions] for {} layers", num_layers);
  std::vector<bool> local;
  if (!config.Has(key)) {
    for (int i = 0; i < 24; ++i) local.push_back(i % 2 == 1);
  } else {
    const Json* types = config.Find(key);
    if (types->kind() != JsonKind::kArray) config.Bad(key, expected);
    for (const Json& item : types->AsArray()) {
      const bool pair = item.kind() == JsonKind::kArray && item.AsArray().size() == 2;
      if (!pair || item.AsArray()[0].kind() != JsonKind::kArray || item.AsArray()[1].kind() != JsonKind::kInt) config.Bad(key, expected);
      const Json::Array& names = item.AsArray()[0].AsArray();
      const int64_t times = item.AsArray()[1].AsInt();
      if (times < 0 || times > kMaxLayers || names.size() > static_cast<size_t>(kMaxLayers)) config.Bad(key, expected);
      for (int64_t i = 0; i < times && static_cast<int64_t>(local.size()) <= num_layers; ++i) {
        for (const Json& name : names) {
          const bool known = name.kind() == JsonKind::kString && (name.AsString() == "global" || name.AsString() == "local");
          if (!known) config.Bad(key, expected);
          local.push_back(name.AsString() == "local");
        }
      }
    }
  }
  if (static_cast<int64_t>(local.size()) != num_layers) config.Bad(key, expected, fmt::format("{} or more", local.size()));
  return local;
}

}  // namespace

DecoderSpec ParseGptNeo(const ConfigReader& config) {
  CommonKeys keys;
  keys.num_hidden_layers = config.AnyOf("num_layers", "num_hidden_layers");
  keys.num_attention_heads = config.AnyOf("num_heads", "num_attention_heads");
  keys.num_key_value_heads = keys.head_dim = "";
  keys.norm_eps = "layer_norm_epsilon";
  keys.hidden_act = "activation_function";
  DecoderSpec spec = ParseWithoutRope(config, {.vocab_size = 50257,
                                               .hidden_size = 2048,
                                               .intermediate_size = 0,
                                               .num_hidden_layers = 24,
                                               .num_attention_heads = 16,
                                               .num_key_value_heads = 0,
                                               .head_dim = 0,
                                               .max_position_embeddings = 2048,
                                               .bos_token_id = 50256,
                                               .eos_token_id = 50256,
                                               .norm_eps = 1e-5,
                                               .tie_word_embeddings = true,
                                               .hidden_act = "gelu_new",
                                               .keys = keys});
  spec.norm = {.kind = NormKind::kLayer, .eps = spec.norm.eps, .bias = true};
  spec.gated_mlp = false;
  spec.o_bias = spec.mlp_bias = true;
  spec.attention_scale = 1.0;
  spec.layers = LayersWithoutRope(spec.num_hidden_layers);
  const int64_t window = config.Int("window_size", 256, 1, kMaxPositions);
  const std::vector<bool> local = LocalLayers(config, spec.num_hidden_layers);
  for (size_t i = 0; i < local.size(); ++i) spec.layers[i].sliding_window = local[i] ? window : 0;

  spec.names = GptNames();
  spec.names.q_proj = "transformer.h.{}.attn.attention.q_proj";
  spec.names.k_proj = "transformer.h.{}.attn.attention.k_proj";
  spec.names.v_proj = "transformer.h.{}.attn.attention.v_proj";
  spec.names.o_proj = "transformer.h.{}.attn.attention.out_proj";
  spec.names.up_proj = "transformer.h.{}.mlp.c_fc";
  spec.names.down_proj = "transformer.h.{}.mlp.c_proj";
  return spec;
}

}  // namespace ft
