// The gated activation of an MLP as the input transform of its down projection.
#pragma once

#include "core/base/activation.h"
#include "core/nn/input_transform.h"

namespace ft {

class GatedActivation : public InputTransform {
 public:
  explicit GatedActivation(Activation activation = Activation::kSilu) : activation_(activation) {}
  at::Tensor Apply(const at::Tensor& u, at::Tensor& aux) const override;
  at::Tensor Again(const at::Tensor& u, const at::Tensor& aux) const override;
  at::Tensor Backward(const at::Tensor& dx, const at::Tensor& u, const at::Tensor& aux, at::Tensor* x) const override;

 private:
  Activation activation_;
};

}  // namespace ft
