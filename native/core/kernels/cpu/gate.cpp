#include "core/kernels/gate.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "core/kernels/cpu/row_ops_tensor.h"
#include "core/kernels/cuda/ops.h"

namespace ft::kernels {
namespace {

bool Fast(const at::Tensor& gate_up) { return cpu::HasRowOps(gate_up) && gate_up.is_contiguous(); }

}  // namespace

at::Tensor Gate(const at::Tensor& gate_up, Activation activation) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(gate_up)) return cuda::Gate(gate_up, activation);
  }
  if (!Fast(gate_up)) return composite::Gate(gate_up, activation);
  const int64_t rows = gate_up.size(0), n = gate_up.size(1) / 2;
  at::Tensor y = at::empty({rows, n}, gate_up.options());
  cpu::ForElementType(gate_up, [&]<typename T>() {
    const cpu::GateOps<T>& gate = cpu::GateOf(cpu::RowOpsFor<T>(), activation);
    at::parallel_for(0, rows, cpu::RowGrain(n), [&](int64_t begin, int64_t end) {
      gate.forward(cpu::In<T>(gate_up) + begin * 2 * n, end - begin, n, cpu::Out<T>(y) + begin * n);
    });
  });
  return y;
}

at::Tensor GateBackward(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation, at::Tensor* y) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(gate_up)) return cuda::GateBackward(dy, gate_up, activation, y);
  }
  if (!Fast(gate_up)) return composite::GateBackward(dy, gate_up, activation, y);
  const int64_t rows = gate_up.size(0), n = gate_up.size(1) / 2;
  const at::Tensor grad = dy.contiguous();
  at::Tensor d = at::empty(gate_up.sizes(), gate_up.options());
  if (y != nullptr) *y = at::empty({rows, n}, gate_up.options());
  cpu::ForElementType(gate_up, [&]<typename T>() {
    const cpu::GateOps<T>& gate = cpu::GateOf(cpu::RowOpsFor<T>(), activation);
    at::parallel_for(0, rows, cpu::RowGrain(n), [&](int64_t begin, int64_t end) {
      gate.backward(cpu::In<T>(grad) + begin * n, cpu::In<T>(gate_up) + begin * 2 * n, end - begin, n, cpu::Out<T>(d) + begin * 2 * n,
                    y == nullptr ? nullptr : cpu::Out<T>(*y) + begin * n);
    });
  });
  return d;
}

}  // namespace ft::kernels
