#include "core/nn/activations.h"

#include "core/kernels/activation.h"
#include "core/kernels/gate.h"

namespace ft {
namespace {

class Gated : public InputTransform {
 public:
  explicit Gated(Activation activation) : activation_(activation) {}
  at::Tensor Apply(const at::Tensor& u, at::Tensor&) const override { return kernels::Gate(u, activation_); }
  at::Tensor Again(const at::Tensor& u, const at::Tensor&) const override { return kernels::Gate(u, activation_); }
  at::Tensor Backward(const at::Tensor& dx, const at::Tensor& u, const at::Tensor&, at::Tensor* x) const override {
    return kernels::GateBackward(dx, u, activation_, x);
  }

 private:
  Activation activation_;
};

class Plain : public InputTransform {
 public:
  explicit Plain(Activation activation) : activation_(activation) {}
  at::Tensor Apply(const at::Tensor& u, at::Tensor&) const override { return kernels::Activate(u, activation_); }
  at::Tensor Again(const at::Tensor& u, const at::Tensor&) const override { return kernels::Activate(u, activation_); }
  at::Tensor Backward(const at::Tensor& dx, const at::Tensor& u, const at::Tensor&, at::Tensor* x) const override {
    if (x != nullptr) *x = kernels::Activate(u, activation_);
    return kernels::ActivateBackward(dx, u, activation_);
  }

 private:
  Activation activation_;
};

}  // namespace

std::unique_ptr<InputTransform> MakeActivation(Activation activation, bool gated) {
  if (gated) return std::make_unique<Gated>(activation);
  return std::make_unique<Plain>(activation);
}

}  // namespace ft
