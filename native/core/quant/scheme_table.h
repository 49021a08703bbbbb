// The schemes that weights can be quantized to: one row each. Formats that are only read (grouped.h, float8.h, mxfp4.h) make
// their PackedWeight themselves.
#pragma once

#include "core/quant/packed_weight.h"

namespace ft::quant {

struct SchemeOptions {
  bool double_quant = false;
  double int8_threshold = 6.0;
};

struct Scheme {
  const char* name;
  int bits;
  /// w [rows, columns] of any float type; the result is on w's device. Errors: kSafetensors where a value is not finite.
  std::shared_ptr<PackedWeight> (*quantize)(const at::Tensor& w, const SchemeOptions& options, const std::string& name);
  /// Memory of a quantized matrix.
  uint64_t (*bytes)(int64_t rows, int64_t columns, const SchemeOptions& options);
};

/// Errors: kInvalidArgument, naming the known ones.
const Scheme& FindScheme(const std::string& name);
std::vector<std::string> SchemeNames();

}  // namespace ft::quant
