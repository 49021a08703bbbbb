// One function a family, and what families share. A family fills a DecoderSpec from config.json; the
// defaults of absent keys are those of its configuration class in transformers 5.
#pragma once

#include "core/arch/config_reader.h"
#include "core/nn/decoder_spec.h"

namespace ft {

DecoderSpec ParseLlama(const ConfigReader& config);
DecoderSpec ParseMistral(const ConfigReader& config);
DecoderSpec ParseQwen2(const ConfigReader& config);
DecoderSpec ParseQwen3(const ConfigReader& config);

// Largest sizes that are believed. They keep every product of two or three of them far inside 63 bits.
inline constexpr int64_t kMaxVocabSize = 10'000'000;
inline constexpr int64_t kMaxWidth = 1 << 20;  // hidden_size, intermediate_size
inline constexpr int64_t kMaxLayers = 4096;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxHeadDim = 8192;
inline constexpr int64_t kMaxPositions = int64_t{1} << 31;

/// Defaults that differ between families.
struct CommonDefaults {
  int64_t vocab_size;
  int64_t intermediate_size;
  int64_t num_key_value_heads;  // 0: num_attention_heads
  int64_t head_dim;             // 0: hidden_size / num_attention_heads
  int64_t max_position_embeddings;
  int64_t bos_token_id;  // -1: none
  int64_t eos_token_id;  // -1: none
};

/// Sizes, norm, activation, rope and token ids: everything the families read in the same way.
DecoderSpec ParseCommon(const ConfigReader& config, const CommonDefaults& defaults);

/// rope_scaling with rope_theta, or rope_parameters. `spec` has its sizes already.
RopeSpec ParseRope(const ConfigReader& config, const DecoderSpec& spec);

/// layer_types, or use_sliding_window with max_window_layers (Qwen2, Qwen3).
std::vector<LayerSpec> ParseWindowedLayers(const ConfigReader& config, int64_t num_hidden_layers);

/// Every layer with the same window (0: none). A layer_types that says otherwise is refused, because
/// transformers ignores it in families whose layers are all alike.
std::vector<LayerSpec> UniformLayers(const ConfigReader& config, int64_t num_hidden_layers, int64_t sliding_window);

/// bos, eos and pad of `config`, where it has them. Ids outside the vocabulary count as none.
void ReadTokenIds(const ConfigReader& config, DecoderSpec* spec);

}  // namespace ft
