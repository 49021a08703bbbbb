#include "core/arch/families.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/error.h"

namespace ft {
namespace {

constexpr size_t kMaxEosTokens = 1024;
constexpr const char* kConvertRemedy = "Use a checkpoint of this family in its plain form.";

void RefuseUnsupported(const ConfigReader& config) {
  if (config.Has("per_layer_config")) config.Unsupported("per_layer_config", "", kConvertRemedy);
  if (config.Bool("is_encoder_decoder", false)) {
    config.Unsupported("is_encoder_decoder", "true", "Use a decoder-only language model.");
  }
}

void ParseHeads(const ConfigReader& config, const CommonDefaults& defaults, DecoderSpec* spec) {
  const CommonKeys& keys = defaults.keys;
  spec->num_attention_heads = config.Int(keys.num_attention_heads, defaults.num_attention_heads, 1, kMaxHeads);
  const bool has_kv_heads = config.Find(keys.num_key_value_heads) != nullptr;
  const int64_t kv_default =
      defaults.num_key_value_heads == 0 || has_kv_heads ? spec->num_attention_heads : defaults.num_key_value_heads;
  spec->num_key_value_heads = config.OptionalInt(keys.num_key_value_heads, 1, kMaxHeads).value_or(kv_default);

  if (const auto head_dim = config.OptionalInt(keys.head_dim, 1, kMaxHeadDim)) {
    spec->head_dim = *head_dim;
  } else if (defaults.head_dim != 0 && config.Find(keys.head_dim) == nullptr) {
    spec->head_dim = defaults.head_dim;
  } else {
    if (spec->hidden_size % spec->num_attention_heads != 0) {
      config.Bad(keys.hidden_size, fmt::format("a multiple of {} ({})", keys.num_attention_heads, spec->num_attention_heads),
                 std::to_string(spec->hidden_size));
    }
    spec->head_dim = spec->hidden_size / spec->num_attention_heads;
  }
  if (spec->num_attention_heads % spec->num_key_value_heads != 0) {
    config.Bad(keys.num_key_value_heads, fmt::format("a divisor of {} ({})", keys.num_attention_heads, spec->num_attention_heads),
               std::to_string(spec->num_key_value_heads));
  }
}

int64_t InVocabulary(int64_t id, int64_t vocab_size) { return id >= 0 && id < vocab_size ? id : -1; }

// transformers ignores these ids where they are no integer of the vocabulary (hub configs hold -1).
int64_t TokenId(const ConfigReader& config, const char* key, int64_t vocab_size) {
  const auto ids = config.IntList(key);
  return ids && !ids->empty() ? InVocabulary(ids->front(), vocab_size) : -1;
}

}  // namespace

std::string ReadDtype(const ConfigReader& config) {
  const char* key = config.Has("dtype") ? "dtype" : "torch_dtype";
  std::string name = config.Text(key, "");
  if (name.rfind("torch.", 0) == 0) name = name.substr(6);
  for (const char* known : {"", "bfloat16", "float16", "float32", "float64"}) {
    if (name == known) return name;
  }
  if (name == "auto") return "";
  config.Unsupported(key, JsonQuote(Shorten(name)), "Use a checkpoint in bfloat16, float16 or float32.");
}

void CheckLayerTypes(const ConfigReader& config, const std::vector<std::string>& types, int64_t num_hidden_layers) {
  if (static_cast<int64_t>(types.size()) != num_hidden_layers) {
    config.Bad("layer_types", fmt::format("{} entries (num_hidden_layers)", num_hidden_layers),
               fmt::format("{}", types.size()));
  }
  for (const std::string& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      config.Unsupported("layer_types", JsonQuote(Shorten(type)), "Supported: full_attention, sliding_attention.");
    }
  }
}

Activation ParseActivation(const ConfigReader& config, const char* key, const char* otherwise) {
  // Names of transformers' ACT2FN with the same function behind them.
  static constexpr std::array<std::pair<std::string_view, Activation>, 11> kNames{{
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
      {"gelu", Activation::kGelu},
      {"gelu_python", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_fast", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"gelu_python_tanh", Activation::kGeluTanh},
      {"relu", Activation::kRelu},
      {"quick_gelu", Activation::kQuickGelu},
      {"relu2", Activation::kRelu2},
  }};
  const std::string name = config.Text(key, otherwise);
  for (const auto& [known, activation] : kNames) {
    if (name == known) return activation;
  }
  config.Unsupported(key, JsonQuote(Shorten(name)), "Supported: silu, gelu, gelu_new, gelu_pytorch_tanh, relu, quick_gelu, relu2.");
}

DecoderSpec ParseWithoutRope(const ConfigReader& config, const CommonDefaults& defaults) {
  RefuseUnsupported(config);
  const CommonKeys& keys = defaults.keys;
  DecoderSpec spec;
  spec.vocab_size = config.Int("vocab_size", defaults.vocab_size, 1, kMaxVocabSize);
  spec.hidden_size = config.Int(keys.hidden_size, defaults.hidden_size, 1, kMaxWidth);
  spec.intermediate_size = defaults.intermediate_size > 0
                               ? config.Int(keys.intermediate_size, defaults.intermediate_size, 1, kMaxWidth)
                               : config.OptionalInt(keys.intermediate_size, 1, kMaxWidth).value_or(4 * spec.hidden_size);
  spec.num_hidden_layers = config.Int(keys.num_hidden_layers, defaults.num_hidden_layers, 1, kMaxLayers);
  ParseHeads(config, defaults, &spec);
  spec.max_position_embeddings = config.Int(keys.max_position_embeddings, defaults.max_position_embeddings, 1, kMaxPositions);
  spec.norm.eps = config.Number(keys.norm_eps, defaults.norm_eps, 0, 1, /*above_min=*/true);
  spec.qk_norm_spec = spec.norm;
  spec.initializer_range = config.Number(keys.initializer_range, defaults.initializer_range, 0, 1);
  spec.tie_word_embeddings = config.Bool("tie_word_embeddings", defaults.tie_word_embeddings);
  spec.hidden_act = ParseActivation(config, keys.hidden_act, defaults.hidden_act);
  spec.torch_dtype = ReadDtype(config);

  spec.bos_token_id = InVocabulary(defaults.bos_token_id, spec.vocab_size);
  spec.pad_token_id = InVocabulary(defaults.pad_token_id, spec.vocab_size);
  if (InVocabulary(defaults.eos_token_id, spec.vocab_size) >= 0) spec.eos_token_ids = {defaults.eos_token_id};
  ReadTokenIds(config, &spec);
  return spec;
}

DecoderSpec ParseCommon(const ConfigReader& config, const CommonDefaults& defaults) {
  DecoderSpec spec = ParseWithoutRope(config, defaults);
  spec.ropes = {ParseRope(config, spec, {defaults.rope_theta, defaults.partial_rotary_factor})};
  return spec;
}

std::vector<LayerSpec> ParseWindowedLayers(const ConfigReader& config, int64_t num_hidden_layers) {
  std::vector<LayerSpec> layers(static_cast<size_t>(num_hidden_layers));
  int64_t window = 0;  // transformers drops sliding_window unless use_sliding_window
  if (config.Bool("use_sliding_window", false)) {
    window = config.Find("sliding_window") == nullptr
                 ? 4096
                 : config.OptionalInt("sliding_window", 1, kMaxPositions).value_or(0);
  }
  if (const auto types = config.TextList("layer_types")) {
    CheckLayerTypes(config, *types, num_hidden_layers);
    for (size_t i = 0; i < layers.size(); ++i) {
      if ((*types)[i] != "sliding_attention") continue;
      if (window == 0) {
        config.Bad("layer_types", "no sliding_attention without use_sliding_window and sliding_window",
                   "sliding_attention");
      }
      layers[i].sliding_window = window;
    }
    return layers;
  }
  const int64_t first = config.Int("max_window_layers", 28, 0, kMaxPositions);
  for (int64_t i = first; i < num_hidden_layers; ++i) layers[static_cast<size_t>(i)].sliding_window = window;
  return layers;
}

std::vector<LayerSpec> UniformLayers(const ConfigReader& config, int64_t num_hidden_layers, int64_t sliding_window) {
  if (const auto types = config.TextList("layer_types")) {
    CheckLayerTypes(config, *types, num_hidden_layers);
    const char* expected = sliding_window > 0 ? "sliding_attention" : "full_attention";
    for (const std::string& type : *types) {
      if (type != expected) {
        config.Unsupported("layer_types", fmt::format("\"{}\" in a family whose layers are all {}", type, expected),
                           "Use a checkpoint whose model_type has layers of different kinds.");
      }
    }
  }
  return std::vector<LayerSpec>(static_cast<size_t>(num_hidden_layers), LayerSpec{sliding_window, 0});
}

void ReadTokenIds(const ConfigReader& config, DecoderSpec* spec) {
  if (config.Find("bos_token_id") != nullptr) spec->bos_token_id = TokenId(config, "bos_token_id", spec->vocab_size);
  if (config.Find("pad_token_id") != nullptr) spec->pad_token_id = TokenId(config, "pad_token_id", spec->vocab_size);
  if (config.Find("eos_token_id") == nullptr) return;
  const auto ids = config.IntList("eos_token_id").value_or(std::vector<int64_t>{});
  if (ids.size() > kMaxEosTokens) {
    config.Bad("eos_token_id", fmt::format("at most {} ids", kMaxEosTokens), std::to_string(ids.size()));
  }
  spec->eos_token_ids.clear();
  for (const int64_t id : ids) {
    const bool known =
        std::find(spec->eos_token_ids.begin(), spec->eos_token_ids.end(), id) != spec->eos_token_ids.end();
    if (InVocabulary(id, spec->vocab_size) >= 0 && !known) spec->eos_token_ids.push_back(id);
  }
}

}  // namespace ft
