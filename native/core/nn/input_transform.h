// What turns a saved tensor into the input of a LinearGroup. A group's backward needs its input; where that input is
// a cheap function of something that is kept anyway (a norm of the residual stream, a gated activation of the
// product before), the transform is run again instead of keeping its result.
#pragma once

#include <ATen/core/Tensor.h>

namespace ft {

class InputTransform {
 public:
  virtual ~InputTransform() = default;
  /// `aux` receives what Again and Backward need besides u (may stay undefined).
  virtual at::Tensor Apply(const at::Tensor& u, at::Tensor& aux) const = 0;
  virtual at::Tensor Again(const at::Tensor& u, const at::Tensor& aux) const = 0;
  /// du from the gradient of the result; adds gradients of own parameters. `x` (or null) receives the result again, in the
  /// same pass over memory.
  virtual at::Tensor Backward(const at::Tensor& dx, const at::Tensor& u, const at::Tensor& aux, at::Tensor* x) const = 0;
  /// True when it has parameters that want gradients.
  virtual bool trainable() const { return false; }
};

/// transform(u) by itself, kept: for inputs that several products read. Differentiable; `anchor` as in ForwardContext.
at::Tensor Transformed(const InputTransform& transform, const at::Tensor& u, const at::Tensor& anchor);

}  // namespace ft
