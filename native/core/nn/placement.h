// Where frozen matrices lie and where products with them are made: the same place, or the host and a device that they visit.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/nn/layout.h"

namespace ft {

/// Of a module's matrices. Memory that a GPU copies from is pinned.
inline at::TensorOptions MatrixOptions(const ModuleLayout& layout, const at::TensorOptions& options) {
  return layout.offloaded ? options.device(at::kCPU).pinned_memory(options.device().is_cuda()) : options;
}

/// `w` where `x` is.
inline at::Tensor Beside(const at::Tensor& w, const at::Tensor& x) {
  return w.device() == x.device() ? w : w.to(x.device(), /*non_blocking=*/true);
}

}  // namespace ft
