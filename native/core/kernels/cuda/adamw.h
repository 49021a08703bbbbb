// AdamW on CUDA: the contract of kernels/adamw.h on raw device memory, in one pass.
#pragma once

#include "core/kernels/adamw_factors.h"
#include "core/kernels/cuda/element.h"

namespace ft::kernels::cuda {

/// n elements each. The gradient becomes 0; compute becomes the new master in its own type, or is null.
struct AdamWArguments {
  float *master, *exp_avg, *exp_avg_sq;
  void *compute, *grad;
  int64_t n;
};
void LaunchAdamW(Element grad_type, Element compute_type, const AdamWArguments& a, const AdamWFactors& factors, Stream stream);

}  // namespace ft::kernels::cuda
