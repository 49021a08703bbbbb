// RMSNorm with an optional trainable weight, as the input transform of the projection group behind it.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/nn/context.h"
#include "core/nn/input_transform.h"

namespace ft {

class NormWeight : public InputTransform {
 public:
  at::Tensor weight;  // [n], compute dtype; undefined: there is no such norm
  at::Tensor grad;    // [n] or undefined when frozen
  double eps = 1e-6;

  at::Tensor Apply(const at::Tensor& u, at::Tensor& aux) const override;
  at::Tensor Again(const at::Tensor& u, const at::Tensor& aux) const override;
  at::Tensor Backward(const at::Tensor& dx, const at::Tensor& u, const at::Tensor& aux, at::Tensor* x) const override;
  bool trainable() const override { return grad.defined(); }
};

}  // namespace ft
