#include "core/nn/gated.h"

#include "core/kernels/gate.h"

namespace ft {

at::Tensor GatedActivation::Apply(const at::Tensor& u, at::Tensor&) const { return kernels::Gate(u, activation_); }

at::Tensor GatedActivation::Again(const at::Tensor& u, const at::Tensor&) const { return kernels::Gate(u, activation_); }

at::Tensor GatedActivation::Backward(const at::Tensor& dx, const at::Tensor& u, const at::Tensor&, at::Tensor* x) const {
  return kernels::GateBackward(dx, u, activation_, x);
}

}  // namespace ft
