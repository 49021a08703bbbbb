// Gated activation of an MLP: act(gate) · up, where gate and up lie side by side in one product's output
// (SwiGLU with silu: https://arxiv.org/abs/2002.05202). fp32 inside, one rounding.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/base/activation.h"

namespace ft::kernels {

/// gate_up [tokens, 2·n] -> [tokens, n]
at::Tensor Gate(const at::Tensor& gate_up, Activation activation);

/// d gate_up [tokens, 2·n] from dy [tokens, n]. With `y`, *y becomes Gate(gate_up, activation) in the same pass over memory.
at::Tensor GateBackward(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation, at::Tensor* y = nullptr);

namespace composite {  // ATen operations, any device: the reference of the CPU version
at::Tensor Gate(const at::Tensor& gate_up, Activation activation);
at::Tensor GateBackward(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation, at::Tensor* y = nullptr);
}  // namespace composite

}  // namespace ft::kernels
