// The tensors that stand for one quantized linear weight (or those of a layer's experts) in a checkpoint, found and checked before anything is read. Free
// of LibTorch.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "core/io/safetensors.h"
#include "core/nn/quantization.h"

namespace ft {

struct PackedTensors {
  StoredFormat format = StoredFormat::kPlain;
  std::string module;           // as the model names it
  char separator = '.';         // between that and the names below
  int64_t rows = 0, columns = 0;  // [out_features, in_features]
  bool transposed = false;        // plain, the model stores [columns, rows]
  int64_t experts = 0;            // so many matrices in each tensor, by their first dimension; 0: one
  /// By their names below the module: "weight", "weight.absmax", "qweight" …
  std::map<std::string, WeightFolder::Location> tensors;
  /// The one that is largest; always there.
  const char* main = "weight";

  // kBnb4, from its quant_state
  std::string quant_type;  // "nf4" or "fp4"
  int64_t block = 64, nested_block = 256;
  double nested_offset = 0;
  std::string source_dtype = "float16";  // what the weight was before

  std::string NameOf(const std::string& below) const { return module + separator + below; }
  bool nested() const { return tensors.count("weight.nested_absmax") > 0; }
  uint64_t bytes() const;
};

/// A tensor by the name that the model gives it, however the files spell its prefix; entry nullptr when absent.
using TensorFinder = std::function<WeightFolder::Location(const std::string& name)>;

/// nullopt: the weight of this module is stored plain (or is absent).
/// Errors: kMissingTensor, kTensorShape, kTensorDtype (details: tensor, expected, got, path), kSafetensors (a state that is no JSON).
std::optional<PackedTensors> FindPackedTensors(const StoredQuantization& stored, const TensorFinder& find, const std::string& module, int64_t rows,
                                               int64_t columns);

/// The same of weights that a parameter holds for all experts, [experts, columns, rows] where it is plain.
std::optional<PackedTensors> FindPackedExperts(const StoredQuantization& stored, const TensorFinder& find, const std::string& parameter, int64_t experts,
                                               int64_t rows, int64_t columns);

}  // namespace ft
