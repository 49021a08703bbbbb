// RMSNorm with an optional trainable weight. Source: https://arxiv.org/abs/1910.07467; rounding: fp32 inside,
// one rounding at the end.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/nn/context.h"

namespace ft {

struct NormWeight {
  at::Tensor weight;  // [n], compute dtype
  at::Tensor grad;    // [n] or undefined when frozen
  double eps = 1e-6;

  /// Over the last dimension, which is n. Differentiable.
  at::Tensor Forward(const at::Tensor& x, const ForwardContext& context) const;
};

}  // namespace ft
