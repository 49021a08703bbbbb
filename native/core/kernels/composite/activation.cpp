#include "core/kernels/activation.h"

#include <ATen/ATen.h>

namespace ft::kernels {

// ATen's operations on 16-bit tensors are fp32 inside themselves; what is put together here is widened first.
at::Tensor Activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kGelu:
      return at::gelu(x, "none");
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kQuickGelu: {
      const at::Tensor x32 = x.to(at::kFloat);
      return (x32 * (x32 * 1.702).sigmoid_()).to(x.scalar_type());
    }
    case Activation::kRelu2:
      return at::relu(x).to(at::kFloat).square_().to(x.scalar_type());
  }
  return {};
}

at::Tensor ActivateBackward(const at::Tensor& dy, const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu_backward(dy, x);
    case Activation::kGelu:
      return at::gelu_backward(dy, x, "none");
    case Activation::kGeluTanh:
      return at::gelu_backward(dy, x, "tanh");
    case Activation::kRelu:
      return dy * (x > 0);
    case Activation::kQuickGelu: {
      const at::Tensor x32 = x.to(at::kFloat), gate = (x32 * 1.702).sigmoid_();
      return (gate * (x32 * 1.702 * (1 - gate) + 1)).mul_(dy).to(x.scalar_type());
    }
    case Activation::kRelu2:
      return (at::relu(x).to(at::kFloat) * 2).mul_(dy).to(x.scalar_type());
  }
  return {};
}

}  // namespace ft::kernels
