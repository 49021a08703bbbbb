// A block a row.
#include "core/kernels/cuda/gate.h"

#include "core/kernels/cuda/device.h"
#include "core/kernels/cuda/math.h"

namespace ft::kernels::cuda {
namespace {

template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads) GateKernel(Activation activation, const T* gate_up, int64_t n, T* y) {
  const int64_t row = blockIdx.x;
  const T* gate = gate_up + row * 2 * n;
  T* out = y + row * n;
  for (int64_t i = static_cast<int64_t>(threadIdx.x) * kWidth; i < n; i += kThreads * kWidth) {
    const Pack<T, kWidth> g = Load<kWidth>(gate + i), up = Load<kWidth>(gate + n + i);
    Pack<T, kWidth> result;
    for (int k = 0; k < kWidth; ++k) result.at[k] = FromFloat<T>(Activate(activation, ToFloat(g.at[k])) * ToFloat(up.at[k]));
    Store(out + i, result);
  }
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads) GateBackwardKernel(Activation activation, const T* dy, const T* gate_up, int64_t n, T* d_gate_up, T* y) {
  const int64_t row = blockIdx.x;
  const T* gate = gate_up + row * 2 * n;
  const T* grad = dy + row * n;
  T* out = d_gate_up + row * 2 * n;
  for (int64_t i = static_cast<int64_t>(threadIdx.x) * kWidth; i < n; i += kThreads * kWidth) {
    const Pack<T, kWidth> g = Load<kWidth>(gate + i), up = Load<kWidth>(gate + n + i), d = Load<kWidth>(grad + i);
    Pack<T, kWidth> d_gate, d_up, output;
    for (int k = 0; k < kWidth; ++k) {
      const float x = ToFloat(g.at[k]), slope = ToFloat(d.at[k]), active = Activate(activation, x);
      output.at[k] = FromFloat<T>(active * ToFloat(up.at[k]));
      d_up.at[k] = FromFloat<T>(slope * active);
      d_gate.at[k] = FromFloat<T>(slope * ToFloat(up.at[k]) * ActivationSlope(activation, x));
    }
    Store(out + i, d_gate);
    Store(out + n + i, d_up);
    if (y != nullptr) Store(y + row * n + i, output);
  }
}

template <typename T>
bool Wide(const void* a, const void* b, const void* c, int64_t n) {
  return Alignment(kWide<T>).Address(a).Address(b).Address(c).Count(n).fits();
}

}  // namespace

void LaunchGate(Element type, Activation activation, const void* gate_up, int64_t rows, int64_t n, void* y, Stream stream) {
  if (rows == 0 || n == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    const auto kernel = Wide<T>(gate_up, y, y, n) ? GateKernel<T, kWide<T>> : GateKernel<T, 1>;
    Launch(kernel, rows, kThreads, stream, activation, static_cast<const T*>(gate_up), n, static_cast<T*>(y));
  });
}

void LaunchGateBackward(Element type, Activation activation, const void* dy, const void* gate_up, int64_t rows, int64_t n, void* d_gate_up, void* y,
                        Stream stream) {
  if (rows == 0 || n == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    const auto kernel = Wide<T>(dy, gate_up, d_gate_up, n) && Alignment(1).Address(y).fits() ? GateBackwardKernel<T, kWide<T>> : GateBackwardKernel<T, 1>;
    Launch(kernel, rows, kThreads, stream, activation, static_cast<const T*>(dy), static_cast<const T*>(gate_up), n, static_cast<T*>(d_gate_up),
           static_cast<T*>(y));
  });
}

}  // namespace ft::kernels::cuda
