// The parameters a DecoderSpec calls for, and the check of a weight folder against them. Free of LibTorch:
// nothing is allocated before every name, shape and dtype has been compared.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/io/safetensors.h"
#include "core/nn/layout.h"
#include "core/nn/packed_tensors.h"

namespace ft {

enum class TensorKind { kEmbedding, kNorm, kLinearWeight, kLinearBias, kExpertWeight, kVector, kBuffer };

struct ExpectedTensor {
  std::string name;            // "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;  // linear weights: [out_features, in_features], or the other way round where stored transposed
  TensorKind kind;
  std::string module_name;  // by the module, where files have another name; they may have this one
  int64_t out_features = 0;  // of linear weights and those of experts
  bool transposed = false;   // shape is [in_features, out_features]
  bool output_head = false;
  bool router = false;
  std::string linear{};  // the LinearModule that it is a weight of
  int64_t experts = 0;   // so many matrices in one tensor, [experts, in_features, out_features]; 0: one, without that dimension

  /// "model.layers.0.self_attn.q_proj": of the module, and as the files call it.
  std::string module() const { return module_name.substr(0, module_name.rfind('.')); }
  std::string stored_module() const { return name.substr(0, name.rfind('.')); }
  int64_t in_features() const { return shape[transposed ? 0 : 1]; }
  /// A weight that may be stored quantized, or be quantized while it is read.
  bool matrix() const { return kind == TensorKind::kLinearWeight || kind == TensorKind::kExpertWeight; }
};

/// Every parameter, in module order (embedding, layers, norm, head); lm_head.weight only where it is untied.
std::vector<ExpectedTensor> ExpectedTensors(const DecoderSpec& spec);

struct LinearModule {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  int64_t in_features;
  int64_t out_features;
  bool bias;
  bool output_head;  // lm_head; listed for tied models too, as it is a module there
  bool transposed;   // the weight is stored as [in_features, out_features]
  bool router = false;   // not of a linear class in transformers 5: PEFT adapts it as a parameter
  int64_t experts = 0;   // a parameter that holds a matrix for each of so many experts
  int64_t matrices = 1;  // tensors in files that make this up, of each expert
  Slot slot = Slot::kHead;
};

/// Every linear module, router and parameter of experts, in module order: what adapters can target.
std::vector<LinearModule> LinearModules(const DecoderSpec& spec);

/// Distinct parameters (a tied head counts once).
int64_t CountParameters(const DecoderSpec& spec);

struct CheckedTensors {
  /// For every name of ExpectedTensors, where its bytes are. The name in the file may differ (see CheckTensors).
  std::map<std::string, WeightFolder::Location> locations;
  /// Weights that are stored quantized, by the names of ExpectedTensors; these are not in `locations`.
  std::map<std::string, PackedTensors> packed;
  StoredQuantization stored;
  /// What the model has to do about its head. Differs from the spec's value in one case: the config says tied,
  /// the files hold an embedding and a head that differ; then, as in transformers, they are not tied.
  bool tie_word_embeddings = false;
  /// Tensors of the files that the model has no place for (rotary_emb.inv_freq buffers left out).
  std::vector<std::string> unused;
  /// Keeps what `locations` points at alive.
  std::vector<std::shared_ptr<SafetensorsFile>> files;
};

/// Compares a folder with a spec. Names are matched as transformers does: also without the base's prefix
/// ("model."; saved from the bare model) or with one too many. A tied model may ship lm_head.weight as well, or only that.
/// Errors: kMissingTensor, kTensorShape, kTensorDtype (details: tensor, expected, got, path); kSafetensors.
/// `stored`: how the files hold linear weights.
CheckedTensors CheckTensors(const DecoderSpec& spec, const WeightFolder& weights, const StoredQuantization& stored = {});

}  // namespace ft
