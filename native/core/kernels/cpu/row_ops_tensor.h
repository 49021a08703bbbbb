// From tensors to the raw loops of row_ops.h.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/kernels/cpu/row_ops.h"

namespace ft::kernels::cpu {

/// True when the raw loops serve this tensor: on the CPU, fp32 or bf16.
inline bool HasRowOps(const at::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

template <typename T>
const T* In(const at::Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}
template <typename T>
T* Out(at::Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

/// Calls fn.operator()<T>() with the element type of x. REQUIRES: HasRowOps(x).
template <typename Fn>
void ForElementType(const at::Tensor& x, const Fn& fn) {
  if (x.scalar_type() == at::kFloat) {
    fn.template operator()<float>();
  } else {
    fn.template operator()<Bf16>();
  }
}

/// Rows worth a task of their own: about 32k elements.
inline int64_t RowGrain(int64_t n) { return n > 0 ? 1 + 32768 / n : 1; }

}  // namespace ft::kernels::cpu
