#include "core/kernels/gate.h"

#include <ATen/ATen.h>

#include "core/kernels/activation.h"

namespace ft::kernels::composite {
at::Tensor Gate(const at::Tensor& gate_up, Activation activation) {
  const int64_t n = gate_up.size(1) / 2;
  const at::Tensor gate = gate_up.narrow(1, 0, n).to(at::kFloat);
  return Activate(gate, activation).mul_(gate_up.narrow(1, n, n)).to(gate_up.scalar_type());
}

at::Tensor GateBackward(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation, at::Tensor* y) {
  const int64_t n = gate_up.size(1) / 2;
  const at::Tensor gate = gate_up.narrow(1, 0, n).to(at::kFloat);
  const at::Tensor up = gate_up.narrow(1, n, n).to(at::kFloat);
  const at::Tensor dy32 = dy.to(at::kFloat);
  at::Tensor d = at::empty(gate_up.sizes(), gate_up.options());
  d.narrow(1, n, n).copy_(Activate(gate, activation).mul_(dy32));
  d.narrow(1, 0, n).copy_(ActivateBackward(dy32 * up, gate, activation));
  if (y != nullptr) *y = Gate(gate_up, activation);
  return d;
}

}  // namespace ft::kernels::composite
