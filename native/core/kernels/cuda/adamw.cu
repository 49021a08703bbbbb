// A grid of at most a thousand blocks goes over the flat memory; a thread takes four elements at a time.
#include "core/kernels/cuda/adamw.h"

#include "core/kernels/cuda/device.h"
#include "core/kernels/cuda/math.h"

namespace ft::kernels::cuda {
namespace {

constexpr int64_t kMostBlocks = 1024;  // about what a large GPU holds at once

template <typename G, typename C, bool kPacked>
__global__ void __launch_bounds__(kThreads) AdamWKernel(AdamWArguments a, AdamWFactors factors) {
  constexpr int kWidth = kPacked ? 4 : 1;
  G* grad = static_cast<G*>(a.grad);
  C* compute = static_cast<C*>(a.compute);
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads * kWidth;
  int64_t i = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kWidth;
  for (; i + kWidth <= a.n; i += stride) {
    const Pack<G, kWidth> g = Load<kWidth>(static_cast<const G*>(grad) + i);
    Pack<float, kWidth> p = Load<kWidth>(static_cast<const float*>(a.master) + i), m = Load<kWidth>(static_cast<const float*>(a.exp_avg) + i);
    Pack<float, kWidth> v = Load<kWidth>(static_cast<const float*>(a.exp_avg_sq) + i);
    Pack<G, kWidth> zero;
    Pack<C, kWidth> rounded;
    for (int k = 0; k < kWidth; ++k) {
      AdamWUpdate(ToFloat(g.at[k]), factors, p.at[k], m.at[k], v.at[k]);
      zero.at[k] = FromFloat<G>(0.0f);
      rounded.at[k] = FromFloat<C>(p.at[k]);
    }
    Store(a.master + i, p);
    Store(a.exp_avg + i, m);
    Store(a.exp_avg_sq + i, v);
    Store(grad + i, zero);
    if (compute != nullptr) Store(compute + i, rounded);
  }
  for (; i < a.n; ++i) {  // the last elements, fewer than a pack: one thread
    AdamWUpdate(ToFloat(grad[i]), factors, a.master[i], a.exp_avg[i], a.exp_avg_sq[i]);
    grad[i] = FromFloat<G>(0.0f);
    if (compute != nullptr) compute[i] = FromFloat<C>(a.master[i]);
  }
}

}  // namespace

void LaunchAdamW(Element grad_type, Element compute_type, const AdamWArguments& a, const AdamWFactors& factors, Stream stream) {
  if (a.n == 0) return;
  const bool packed = Alignment(1).Address(a.master).Address(a.exp_avg).Address(a.exp_avg_sq).Address(a.compute).Address(a.grad).fits();
  const int64_t each = kThreads * (packed ? 4 : 1), needed = (a.n + each - 1) / each, blocks = needed < kMostBlocks ? needed : kMostBlocks;
  ForElement(grad_type, [&](auto grad) {
    ForElement(compute_type, [&](auto compute) {
      using G = decltype(grad);
      using C = decltype(compute);
      Launch(packed ? AdamWKernel<G, C, true> : AdamWKernel<G, C, false>, blocks, kThreads, stream, a, factors);
    });
  });
}

}  // namespace ft::kernels::cuda
