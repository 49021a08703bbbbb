// Models of known sizes for `ft_bench step --shape`, which needs no checkpoint: a config.json in a folder of its own, and
// the FLOPs of a training step.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/engine/model.h"

namespace ft::bench {

struct ModelShape {
  const char* name;
  int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads;
  bool tie_word_embeddings;
};

inline const std::vector<ModelShape>& ModelShapes() {
  static const std::vector<ModelShape> shapes = {
      {"smollm2-135m", 49152, 576, 1536, 30, 9, 3, true},
      {"llama-1b", 128256, 2048, 8192, 16, 32, 8, true},
      {"llama-8b", 128256, 4096, 14336, 32, 32, 8, false},
  };
  return shapes;
}

/// A temporary folder with the shape's config.json, removed with this object.
class ShapeFolder {
 public:
  explicit ShapeFolder(const std::string& name) {
    std::vector<std::string> known;
    const ModelShape* shape = nullptr;
    for (const ModelShape& candidate : ModelShapes()) {
      known.emplace_back(candidate.name);
      if (name == candidate.name) shape = &candidate;
    }
    FT_CHECK(shape != nullptr, kUsage, "--shape {} is unknown: one of {}", name, fmt::join(known, ", "));
    std::string pattern = (std::filesystem::temp_directory_path() / "ft-bench-XXXXXX").string();
    FT_CHECK(mkdtemp(pattern.data()) != nullptr, kStorage, "no temporary folder could be made at {}", pattern);
    path_ = pattern;
    std::ofstream(path_ / "config.json") << fmt::format(
        R"({{"model_type":"llama","architectures":["LlamaForCausalLM"],"vocab_size":{},"hidden_size":{},"intermediate_size":{},"num_hidden_layers":{},)"
        R"("num_attention_heads":{},"num_key_value_heads":{},"max_position_embeddings":8192,"rms_norm_eps":1e-5,"rope_theta":500000.0,)"
        R"("hidden_act":"silu","tie_word_embeddings":{}}})",
        shape->vocab_size, shape->hidden_size, shape->intermediate_size, shape->num_hidden_layers, shape->num_attention_heads,
        shape->num_key_value_heads, shape->tie_word_embeddings);
  }
  ~ShapeFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ShapeFolder(const ShapeFolder&) = delete;
  ShapeFolder& operator=(const ShapeFolder&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

/// FLOPs a token: 4N for LoRA (forward 2N, backward through frozen weights 2N), 6N for full fine-tuning, where N counts the
/// weights of matrix products, plus causal attention, 12 · layers · heads · head_dim · length / 2. Adapters are not counted.
inline double FlopsPerToken(Decoder& decoder, bool full, int64_t length) {
  const DecoderSpec& spec = decoder.spec();
  double weights = 0;
  for (const LinearGroup* group : decoder.Groups()) weights += static_cast<double>(group->weight.numel());
  if (spec.tie_word_embeddings) weights += static_cast<double>(spec.vocab_size * spec.hidden_size);
  const double attention = 12.0 * static_cast<double>(spec.num_hidden_layers * spec.num_attention_heads * spec.head_dim * length) / 2;
  return (full ? 6 : 4) * weights + attention;
}

}  // namespace ft::bench
