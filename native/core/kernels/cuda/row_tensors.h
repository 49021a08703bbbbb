// From tensors to the strided rows of the norms. Only for files that CUDA builds compile.
#pragma once

#include <vector>

#include "core/kernels/cuda/strided_rows.h"
#include "core/kernels/cuda/tensors.h"

namespace ft::kernels::cuda {

/// x [..., n] as strided rows; copied where two strides do not describe it.
struct Rows {
  at::Tensor kept;
  StridedRows view;

  explicit Rows(const at::Tensor& x) : kept(x) {
    FT_CHECK(x.dim() > 0 && x.size(-1) > 0, kInternal, "a norm needs rows of at least one element, got shape {}", c10::str(x.sizes()));
    const bool three = x.dim() == 3 && x.stride(2) == 1, two = x.dim() == 2 && x.stride(1) == 1;
    if (!three && !two) kept = x.contiguous().view({x.numel() / x.size(-1), x.size(-1)});
    const int64_t inner = kept.dim() == 3 && kept.size(1) > 0 ? kept.size(1) : 1, n = kept.size(-1);
    view = {kept.const_data_ptr(), kept.numel() / n, n, inner, kept.stride(0), kept.dim() == 3 ? kept.stride(1) : 0};
    CheckBlocks(view.rows);
  }
};

/// The shape of one number a row: x's with 1 for the last dimension.
inline std::vector<int64_t> RowShape(const at::Tensor& x) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = 1;
  return shape;
}

/// A norm's weight or bias, checked; an undefined one stays so.
inline at::Tensor RowParameter(const at::Tensor& x, const at::Tensor& weight) {
  if (!weight.defined()) return weight;
  CheckBeside(x, weight, x.scalar_type(), "a norm's parameter");
  CheckShape(weight, {x.size(-1)}, "a norm's parameter");
  return weight.contiguous();
}

/// rstd or mean, checked.
inline at::Tensor RowValues(const at::Tensor& x, const at::Tensor& values) {
  CheckBeside(x, values, at::kFloat, "a number a row");
  CheckShape(values, RowShape(x), "a number a row");
  return values.contiguous();
}

}  // namespace ft::kernels::cuda
