// The gated activation of gpt_oss (https://arxiv.org/abs/2508.10925): (clamp(up, ±limit) + 1) · g · sigmoid(alpha · g), where
// g = min(gate, limit); gate and up take turns in one product's output: g0, u0, g1, u1 … fp32 inside, one rounding. Any device.
#pragma once

#include <ATen/core/Tensor.h>

namespace ft::kernels {

struct GateClamp {
  double alpha = 1.702;
  double limit = 7.0;
};

/// gate_up [rows, 2·n] -> [rows, n]
at::Tensor ClampedGate(const at::Tensor& gate_up, const GateClamp& clamp);

/// d gate_up [rows, 2·n] from dy [rows, n]. With `y`, *y becomes ClampedGate(gate_up, clamp).
at::Tensor ClampedGateBackward(const at::Tensor& dy, const at::Tensor& gate_up, const GateClamp& clamp, at::Tensor* y = nullptr);

}  // namespace ft::kernels
