#include "core/kernels/clamped_gate.h"

#include <ATen/ATen.h>

namespace ft::kernels {
namespace {

// Every second column, from `first`.
at::Tensor Alternate(const at::Tensor& gate_up, int64_t first) { return gate_up.view({gate_up.size(0), gate_up.size(1) / 2, 2}).select(2, first); }

// fp32 pieces of the function.
struct Clamped {
  at::Tensor gate, up;          // as they come
  at::Tensor g, sigmoid, lift;  // min(gate, limit), sigmoid(alpha · g), clamp(up) + 1
  Clamped(const at::Tensor& gate_up, const GateClamp& clamp) {
    gate = Alternate(gate_up, 0).to(at::kFloat);
    up = Alternate(gate_up, 1).to(at::kFloat);
    g = gate.clamp_max(clamp.limit);
    sigmoid = at::sigmoid(g * clamp.alpha);
    lift = up.clamp(-clamp.limit, clamp.limit).add_(1.0);
  }
};

}  // namespace

at::Tensor ClampedGate(const at::Tensor& gate_up, const GateClamp& clamp) {
  const Clamped c(gate_up, clamp);
  return c.g.mul(c.sigmoid).mul_(c.lift).to(gate_up.scalar_type());
}

at::Tensor ClampedGateBackward(const at::Tensor& dy, const at::Tensor& gate_up, const GateClamp& clamp, at::Tensor* y) {
  const Clamped c(gate_up, clamp);
  const at::Tensor d = dy.to(at::kFloat), glu = c.g * c.sigmoid;
  const at::Tensor slope = c.sigmoid * (1 + clamp.alpha * c.g * (1 - c.sigmoid));
  at::Tensor result = at::empty(gate_up.sizes(), gate_up.options());
  Alternate(result, 0).copy_((d * c.lift).mul_(slope).mul_(c.gate.le(clamp.limit)));
  Alternate(result, 1).copy_((d * glu).mul_(c.up.abs().le(clamp.limit)));
  if (y != nullptr) *y = glu.mul_(c.lift).to(gate_up.scalar_type());
  return result;
}

}  // namespace ft::kernels
