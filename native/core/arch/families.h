// What families share. A family fills a DecoderSpec from config.json; the
// defaults of absent keys are those of its configuration class in transformers 5.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/arch/config_reader.h"
#include "core/nn/decoder_spec.h"

namespace ft {

// Largest sizes that are believed. They keep every product of two or three of them far inside 63 bits.
inline constexpr int64_t kMaxVocabSize = 10'000'000;
inline constexpr int64_t kMaxWidth = 1 << 20;  // hidden_size, intermediate_size
inline constexpr int64_t kMaxLayers = 4096;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxHeadDim = 8192;
inline constexpr int64_t kMaxPositions = int64_t{1} << 31;

/// The keys of a family's config.json where it has names of its own. "": the family has no such key.
struct CommonKeys {
  const char* hidden_size = "hidden_size";
  const char* num_hidden_layers = "num_hidden_layers";
  const char* num_attention_heads = "num_attention_heads";
  const char* num_key_value_heads = "num_key_value_heads";
  const char* intermediate_size = "intermediate_size";
  const char* max_position_embeddings = "max_position_embeddings";
  const char* norm_eps = "rms_norm_eps";
  const char* hidden_act = "hidden_act";
  const char* head_dim = "head_dim";
  const char* initializer_range = "initializer_range";
};

/// What absent keys stand for. Fields without a value here differ between families.
struct CommonDefaults {
  int64_t vocab_size;
  int64_t hidden_size = 4096;
  int64_t intermediate_size;  // 0: four times hidden_size, also where the key is null
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 32;
  int64_t num_key_value_heads;  // 0: num_attention_heads
  int64_t head_dim;             // 0: hidden_size / num_attention_heads
  int64_t max_position_embeddings;
  int64_t bos_token_id;  // -1: none
  int64_t eos_token_id;  // -1: none
  int64_t pad_token_id = -1;
  double norm_eps = 1e-6;
  double initializer_range = 0.02;
  bool tie_word_embeddings = false;
  const char* hidden_act = "silu";
  double rope_theta = 10000.0;
  double partial_rotary_factor = 0.0;  // 0: whole heads turn, and nothing else is understood
  CommonKeys keys = {};
};

/// Sizes, norm, activation, rope and token ids: everything the families read in the same way. One rope for all layers.
DecoderSpec ParseCommon(const ConfigReader& config, const CommonDefaults& defaults);

/// The same without a rotary embedding: for families whose layers have none, or more than one.
DecoderSpec ParseWithoutRope(const ConfigReader& config, const CommonDefaults& defaults);

/// What a family's rotary embedding is where config.json does not say.
struct RopeDefaults {
  double rope_theta = 10000.0;
  double partial_rotary_factor = 0.0;            // 0: whole heads turn, and nothing else is understood
  int64_t original_max_position_embeddings = 0;  // 0: max_position_embeddings
  bool only_long = false;                        // whatever is no default rope is longrope, under older names too
};

/// rope_scaling with rope_theta, or rope_parameters. `spec` has its sizes already.
RopeSpec ParseRope(const ConfigReader& config, const DecoderSpec& spec, const RopeDefaults& defaults);

/// One rope for layers with full attention, one for those with a sliding window, in this order: rope_parameters by layer
/// type, or rope_theta, rope_scaling (both of full layers) and a key of its own for the sliding ones.
struct RopesByType {
  double full_theta, sliding_theta;
  const char* sliding_theta_key;
};
std::vector<RopeSpec> ParseRopesByType(const ConfigReader& config, const DecoderSpec& spec, const RopesByType& defaults);

/// The activation a key names, as transformers' ACT2FN does.
Activation ParseActivation(const ConfigReader& config, const char* key, const char* otherwise);

/// layer_types, or use_sliding_window with max_window_layers (Qwen2, Qwen3).
std::vector<LayerSpec> ParseWindowedLayers(const ConfigReader& config, int64_t num_hidden_layers);

/// Every layer with the same window (0: none). A layer_types that says otherwise is refused, because
/// transformers ignores it in families whose layers are all alike.
std::vector<LayerSpec> UniformLayers(const ConfigReader& config, int64_t num_hidden_layers, int64_t sliding_window);

/// Refuses a layer_types of another length or with other kinds than full_attention and sliding_attention.
void CheckLayerTypes(const ConfigReader& config, const std::vector<std::string>& types, int64_t num_hidden_layers);

/// Which layers have a sliding window: by layer_types; else by a rule, or all but every sliding_window_pattern-th.
std::vector<bool> SlidingLayers(const ConfigReader& config, int64_t num_hidden_layers, const std::function<bool(int64_t)>& otherwise);
std::vector<bool> SlidingLayers(const ConfigReader& config, int64_t num_hidden_layers, int64_t pattern);

/// sliding_window; null is 0, none. A soft cap likewise.
int64_t WindowOr(const ConfigReader& config, int64_t otherwise);
double SoftCap(const ConfigReader& config, const char* key, double otherwise);

/// Norm weights stored as differences from one, scaled embeddings.
void ReadGemmaFacts(const ConfigReader& config, DecoderSpec* spec);
/// Norms before and behind attention and MLP; query_pre_attn_scalar.
void ReadSandwichNorms(const ConfigReader& config, DecoderSpec* spec);
/// Norms of what attention and MLP return, none of what they read.
void NormsBehindOnly(DecoderSpec* spec);
/// A parallel residual behind one LayerNorm without bias, rotation of neighbours, scaled logits.
void ReadCohereFacts(const ConfigReader& config, DecoderSpec* spec);

/// dtype, or torch_dtype: "bfloat16", "float16", "float32", "float64" or "".
std::string ReadDtype(const ConfigReader& config);

/// Layers without rotary embedding.
std::vector<LayerSpec> LayersWithoutRope(int64_t num_hidden_layers);

/// Spellings of GPT-2 and of what follows it (n_embd, n_layer …); transformers takes the usual ones too.
CommonKeys GptKeys(const ConfigReader& config);
/// Its names of embeddings and norms, under "transformer.".
DecoderSpec::Names GptNames();
/// GPT-2 and GPT-BigCode up to their attention: sizes, LayerNorm, biases, names.
DecoderSpec ParseGptLike(const ConfigReader& config, const char* hidden_act);

/// Slopes of ALiBi for a number of heads, as in BLOOM.
std::vector<float> AlibiSlopes(int64_t heads);

/// bos, eos and pad of `config`, where it has them. Ids outside the vocabulary count as none.
void ReadTokenIds(const ConfigReader& config, DecoderSpec* spec);

}  // namespace ft
