// A block a row.
#include "core/kernels/cuda/cross_entropy.h"

#include "core/kernels/cuda/device.h"
#include "core/kernels/cuda/math.h"

namespace ft::kernels::cuda {
namespace {

constexpr int kRowThreads = 512;

// The sum over the whole block; everyone gets it, merged in one order.
__device__ inline ExpSum BlockExpSum(ExpSum mine) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    ExpSum other;
    other.max = __shfl_xor_sync(0xffffffffu, mine.max, mask);
    other.sum = __shfl_xor_sync(0xffffffffu, mine.sum, mask);
    mine.Merge(other);
  }
  __shared__ float maxima[kRowThreads / kWarp], sums[kRowThreads / kWarp];
  if (threadIdx.x % kWarp == 0) {
    maxima[threadIdx.x / kWarp] = mine.max;
    sums[threadIdx.x / kWarp] = mine.sum;
  }
  __syncthreads();
  ExpSum all;
  for (int i = 0; i < kRowThreads / kWarp; ++i) {
    ExpSum warp;
    warp.max = maxima[i];
    warp.sum = sums[i];
    all.Merge(warp);
  }
  return all;
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kRowThreads) CrossEntropyKernel(CrossEntropyArguments a) {
  const int64_t row = blockIdx.x, target = a.targets[row];
  T* logits = static_cast<T*>(a.logits) + row * a.row_stride;
  const bool valid = target >= 0 && target < a.vocab;
  const float target_logit = valid ? ToFloat(logits[target]) : 0.0f;  // before anyone overwrites it
  ExpSum mine;
  for (int64_t i = static_cast<int64_t>(threadIdx.x) * kWidth; i < a.vocab; i += kRowThreads * kWidth) {
    const Pack<T, kWidth> pack = Load<kWidth>(logits + i);
    for (int k = 0; k < kWidth; ++k) mine.Add(ToFloat(pack.at[k]));
  }
  const float lse = BlockExpSum(mine).Log();
  if (threadIdx.x == 0) {
    a.lse[row] = lse;
    a.loss[row] = valid ? lse - target_logit : nanf("");
  }
  if (!a.gradient) return;
  const float scale = a.row_scale != nullptr ? a.scale * a.row_scale[row] : a.scale;
  for (int64_t i = static_cast<int64_t>(threadIdx.x) * kWidth; i < a.vocab; i += kRowThreads * kWidth) {
    Pack<T, kWidth> pack = Load<kWidth>(logits + i);
    for (int k = 0; k < kWidth; ++k) pack.at[k] = FromFloat<T>(CrossEntropySlope(ToFloat(pack.at[k]), lse, i + k == target, scale));
    Store(logits + i, pack);
  }
}

}  // namespace

void LaunchCrossEntropy(Element type, const CrossEntropyArguments& a, Stream stream) {
  if (a.rows == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    const bool wide = Alignment(kWide<T>).Address(a.logits).Count(a.vocab).Count(a.row_stride).fits();
    Launch(wide ? CrossEntropyKernel<T, kWide<T>> : CrossEntropyKernel<T, 1>, a.rows, kRowThreads, stream, a);
  });
}

}  // namespace ft::kernels::cuda
