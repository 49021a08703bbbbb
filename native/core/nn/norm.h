// A normalisation with optional weight and bias: as the input transform of the projection group behind it, or by itself
// on what a block adds to the residual stream.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/nn/context.h"
#include "core/nn/input_transform.h"
#include "core/nn/layout.h"
#include "core/nn/weight_ref.h"

namespace ft {

class NormWeight : public InputTransform {
 public:
  NormWeight() = default;
  /// Allocates the parameters that the layout calls for (uninitialised).
  NormWeight(const ModuleLayout& layout, const at::TensorOptions& options);

  at::Tensor Apply(const at::Tensor& u, at::Tensor& aux) const override;
  at::Tensor Again(const at::Tensor& u, const at::Tensor& aux) const override;
  at::Tensor Backward(const at::Tensor& dx, const at::Tensor& u, const at::Tensor& aux, at::Tensor* x) const override;
  bool trainable() const override { return weight_grad_.defined() || bias_grad_.defined(); }

  /// norm(u), by itself. Differentiable; the graph keeps u.
  at::Tensor Forward(const at::Tensor& u, const ForwardContext& context) const;
  /// residual + norm(u). Differentiable; the graph keeps u.
  at::Tensor AddTo(const at::Tensor& residual, const at::Tensor& u, const ForwardContext& context) const;

  void AppendWeights(std::vector<WeightRef>* refs);

 private:
  // The weight that multiplies, and whether only the plain versions of the kernels take it.
  struct Scale {
    at::Tensor weight;
    bool plain;
  };
  Scale ScaleFor(const at::Tensor& u) const;
  bool by_head() const { return layout_.heads > 0 || layout_.parts.size() > 1; }

  ModuleLayout layout_;
  at::Tensor weight_;  // [n] or [heads, n], compute dtype; undefined: ones
  at::Tensor bias_;    // the same; undefined: zeros
  at::Tensor weight_grad_, bias_grad_;  // undefined when frozen
};

}  // namespace ft
