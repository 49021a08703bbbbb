// A frozen weight that is not kept as it is computed with: products ask it for the piece that they are about to use.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace ft::kernels {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual int64_t rows() const = 0;     // out_features
  virtual int64_t columns() const = 0;  // in_features
  virtual at::Device device() const = 0;

  /// Values of rows [row, row + count) and columns [column, column + width), rows of `out` `stride` apart; the second as
  /// bits of bf16, rounded once. On the CPU alone, from any thread. REQUIRES: the piece lies inside.
  virtual void Read(int64_t row, int64_t count, int64_t column, int64_t width, float* out, int64_t stride) const = 0;
  virtual void Read(int64_t row, int64_t count, int64_t column, int64_t width, uint16_t* out, int64_t stride) const = 0;

  /// Everything into out [rows, columns]: on its device, contiguous, any float type. Rounded once.
  virtual void ReadAll(at::Tensor& out) const = 0;
  /// x [few, columns] · wᵀ without making w, in x's type; undefined where there is no kernel for it.
  virtual at::Tensor FewRows(const at::Tensor& x) const = 0;

  at::Tensor Dense(at::ScalarType dtype) const;
};

}  // namespace ft::kernels
