// One weight matrix of a quantization scheme: what products read through kernels::WeightSource, and what a scheme's file
// in this folder implements. The tensors it consists of never change after it was made.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/kernels/weight_source.h"

namespace ft::quant {

class PackedWeight : public kernels::WeightSource {
 public:
  int64_t rows() const override { return rows_; }
  int64_t columns() const override { return columns_; }
  /// "nf4", "int8" …, as in the scheme table.
  virtual const char* scheme() const = 0;
  /// Memory of its tensors.
  virtual uint64_t bytes() const = 0;
  /// Set: inputs are rounded as kernels::RoundToInt8Rows does with this threshold.
  virtual std::optional<double> input_threshold() const { return std::nullopt; }
  /// The tensors as its file format names them below the module: {"weight", …}, {"weight.absmax", …}. Empty where this
  /// scheme is only read.
  virtual std::vector<std::pair<std::string, at::Tensor>> FileTensors() const { return {}; }
  /// The same weight with its tensors on another device; itself where they are there.
  virtual std::shared_ptr<PackedWeight> To(at::Device device) const = 0;
  /// fp32 [rows, columns] by ATen's operators, on any device: the reference of the loops.
  virtual at::Tensor Composite() const = 0;

  void ReadAll(at::Tensor& out) const override;
  at::Tensor FewRows(const at::Tensor&) const override { return {}; }

 protected:
  PackedWeight(int64_t rows, int64_t columns) : rows_(rows), columns_(columns) {}
  int64_t rows_, columns_;
};

/// Implements both Reads by Self::Run<T>(row, column, width, out): a piece of one row.
template <typename Self>
class RowReader : public PackedWeight {
 public:
  void Read(int64_t row, int64_t count, int64_t column, int64_t width, float* out, int64_t stride) const override {
    ReadRows(row, count, column, width, out, stride);
  }
  void Read(int64_t row, int64_t count, int64_t column, int64_t width, uint16_t* out, int64_t stride) const override {
    ReadRows(row, count, column, width, out, stride);
  }

 protected:
  using PackedWeight::PackedWeight;

 private:
  template <typename T>
  void ReadRows(int64_t row, int64_t count, int64_t column, int64_t width, T* out, int64_t stride) const {
    for (int64_t r = 0; r < count; ++r) static_cast<const Self*>(this)->Run(row + r, column, width, out + r * stride);
  }
};

/// Values that are made fp32 at a time while `w` is quantized: what exists beside it. A GPU wants larger pieces.
inline int64_t PieceElements(const at::Tensor& w) { return w.is_cpu() ? int64_t{1} << 18 : int64_t{1} << 20; }

/// Of a weight that is to be quantized. `where`: " in fp16".
inline Error NotFinite(const std::string& name, const char* where) {
  return Error(ErrorCode::kSafetensors, fmt::format("{} holds values that are not finite{}: it cannot be quantized", name, where),
               "check the files of the model, or leave this module as it is (llm_int8_skip_modules)");
}

/// Undefined stays undefined.
inline at::Tensor MovedTo(const at::Tensor& tensor, at::Device device) { return tensor.defined() ? tensor.to(device) : tensor; }

inline uint64_t BytesOf(std::initializer_list<at::Tensor> tensors) {
  uint64_t bytes = 0;
  for (const at::Tensor& tensor : tensors) bytes += tensor.defined() ? static_cast<uint64_t>(tensor.nbytes()) : 0;
  return bytes;
}

}  // namespace ft::quant
