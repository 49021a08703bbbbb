#include <ATen/ATen.h>

#include "core/kernels/cuda/gate.h"
#include "core/kernels/cuda/ops.h"
#include "core/kernels/cuda/tensors.h"

namespace ft::kernels::cuda {

at::Tensor Gate(const at::Tensor& gate_up, Activation activation) {
  FT_CHECK(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0, kInternal, "gate and up side by side expected, got shape {}", c10::str(gate_up.sizes()));
  CheckBlocks(gate_up.size(0));
  const int64_t rows = gate_up.size(0), n = gate_up.size(1) / 2;
  const at::Tensor in = gate_up.contiguous();
  at::Tensor y = at::empty({rows, n}, gate_up.options());
  LaunchOn(in, [&](Stream stream) { LaunchGate(ElementOf(in), activation, in.const_data_ptr(), rows, n, y.mutable_data_ptr(), stream); });
  return y;
}

at::Tensor GateBackward(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation, at::Tensor* y) {
  FT_CHECK(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0, kInternal, "gate and up side by side expected, got shape {}", c10::str(gate_up.sizes()));
  const int64_t rows = gate_up.size(0), n = gate_up.size(1) / 2;
  CheckShape(dy, {rows, n}, "a gate's gradient");
  CheckBeside(gate_up, dy, gate_up.scalar_type(), "a gate's gradient");
  CheckBlocks(rows);
  const at::Tensor in = gate_up.contiguous(), grad = dy.contiguous();
  at::Tensor d = at::empty({rows, 2 * n}, gate_up.options());
  if (y != nullptr) *y = at::empty({rows, n}, gate_up.options());
  LaunchOn(in, [&](Stream stream) {
    LaunchGateBackward(ElementOf(in), activation, grad.const_data_ptr(), in.const_data_ptr(), rows, n, d.mutable_data_ptr(),
                       y == nullptr ? nullptr : y->mutable_data_ptr(), stream);
  });
  return d;
}

}  // namespace ft::kernels::cuda
