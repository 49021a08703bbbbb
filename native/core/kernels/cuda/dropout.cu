// A block a token; a thread makes the four random words of four columns.
#include "core/kernels/cuda/dropout.h"

#include "core/kernels/cuda/device.h"
#include "core/kernels/cuda/math.h"

namespace ft::kernels::cuda {
namespace {

template <typename T>
__device__ inline T Dropped(T x, uint32_t random, const DropoutArguments& a) {
  return FromFloat<T>(random >= a.threshold ? ToFloat(x) * a.keep : 0.0f);
}

// kPacked: four columns are one load and one store.
template <typename T, bool kPacked>
__global__ void __launch_bounds__(kThreads) DropoutKernel(DropoutArguments a) {
  const int64_t token = blockIdx.x;
  const auto position = static_cast<uint32_t>(a.positions[token]), row = static_cast<uint32_t>(a.row_keys[token]);
  const T* x = static_cast<const T*>(a.x) + token * a.width;
  T* y = static_cast<T*>(a.y) + token * a.width;
  for (int64_t quad = threadIdx.x; quad * 4 < a.width; quad += kThreads) {
    const Random4 random = PhiloxRounds({{static_cast<uint32_t>(quad), position, row, a.site}}, a.key);
    if constexpr (kPacked) {
      Pack<T, 4> pack = Load<4>(x + quad * 4);
      for (int k = 0; k < 4; ++k) pack.at[k] = Dropped(pack.at[k], random.at[k], a);
      Store(y + quad * 4, pack);
    } else {
      for (int k = 0; k < 4 && quad * 4 + k < a.width; ++k) y[quad * 4 + k] = Dropped(x[quad * 4 + k], random.at[k], a);
    }
  }
}

}  // namespace

void LaunchDropout(Element type, const DropoutArguments& a, Stream stream) {
  if (a.tokens == 0 || a.width == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    const bool packed = Alignment(4).Address(a.x).Address(a.y).Count(a.width).fits();
    Launch(packed ? DropoutKernel<T, true> : DropoutKernel<T, false>, a.tokens, kThreads, stream, a);
  });
}

}  // namespace ft::kernels::cuda
