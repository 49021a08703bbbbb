// Elementwise activations of a plain MLP. fp32 inside, one rounding to x's dtype; plain ATen operations on every device.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/base/activation.h"

namespace ft::kernels {

/// act(x), any shape.
at::Tensor Activate(const at::Tensor& x, Activation activation);

/// dy · act'(x).
at::Tensor ActivateBackward(const at::Tensor& dy, const at::Tensor& x, Activation activation);

}  // namespace ft::kernels
