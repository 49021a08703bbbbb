// A block a token. A thread turns kWidth pairs of a head, or copies kWidth of the dimensions beyond them.
#include "core/kernels/cuda/rotate.h"

#include "core/kernels/cuda/device.h"

namespace ft::kernels::cuda {
namespace {

template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads) RotateKernel(RotateArguments a) {
  const int64_t token = blockIdx.x;
  const T* x = static_cast<const T*>(a.x) + token * a.token_stride;
  T* y = static_cast<T*>(a.y) + token * a.heads * a.head_dim;
  const float* cos = a.cos + token * a.half;
  const float* sin = a.sin + token * a.half;
  const float sign = a.inverse ? -1.0f : 1.0f;
  const int half = static_cast<int>(a.half), head_dim = static_cast<int>(a.head_dim);
  const int turns = half / kWidth, items = turns + (head_dim - 2 * half) / kWidth;  // a head
  for (int item = static_cast<int>(threadIdx.x); item < static_cast<int>(a.heads) * items; item += static_cast<int>(blockDim.x)) {
    const int head = item / items, part = item % items;
    const T* in = x + head * a.head_stride;
    T* out = y + static_cast<int64_t>(head) * head_dim;
    if (part >= turns) {
      const int at = 2 * half + (part - turns) * kWidth;
      Store(out + at, Load<kWidth>(in + at));
      continue;
    }
    const int at = part * kWidth;
    const Pack<T, kWidth> low = Load<kWidth>(in + at), high = Load<kWidth>(in + half + at);
    Pack<T, kWidth> new_low, new_high;
    for (int k = 0; k < kWidth; ++k) {
      const float p = ToFloat(low.at[k]), q = ToFloat(high.at[k]), c = cos[at + k], s = sign * sin[at + k];
      new_low.at[k] = FromFloat<T>(p * c - q * s);
      new_high.at[k] = FromFloat<T>(q * c + p * s);
    }
    Store(out + at, new_low);
    Store(out + half + at, new_high);
  }
}

}  // namespace

void LaunchRotate(Element type, const RotateArguments& a, Stream stream) {
  if (a.tokens == 0 || a.heads == 0 || a.head_dim == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    const bool wide = Alignment(kWide<T>).Address(a.x).Address(a.y).Count(a.half).Count(a.head_dim).Count(a.token_stride).Count(a.head_stride).fits();
    const int64_t items = a.heads * (a.head_dim - a.half) / (wide ? kWide<T> : 1);
    const int threads = items >= kThreads ? kThreads : static_cast<int>((items + kWarp - 1) / kWarp * kWarp);
    if (wide) {
      Launch(RotateKernel<T, kWide<T>>, a.tokens, threads, stream, a);
    } else {
      Launch(RotateKernel<T, 1>, a.tokens, threads, stream, a);
    }
  });
}

}  // namespace ft::kernels::cuda
