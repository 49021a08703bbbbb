// A thread makes as many values as fit in 16 bytes; for few rows a warp has a row of w.
#include "core/kernels/cuda/unpack.h"

#include "core/kernels/cuda/device.h"

namespace ft::kernels::cuda {
namespace {

__device__ inline float NibbleValue(const uint8_t* codes, int64_t i, const float* table, const float* scales, int64_t block) {
  const int byte = codes[i / 2];
  return table[i % 2 == 0 ? byte >> 4 : byte & 15] * scales[i / block];
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads) UnpackNibblesKernel(const uint8_t* codes, const float* table, const float* scales, int64_t block, int64_t count,
                                                                T* out) {
  const int64_t begin = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kWidth;
  if (begin >= count) return;
  Pack<T, kWidth> values;
  for (int k = 0; k < kWidth; ++k) values.at[k] = FromFloat<T>(NibbleValue(codes, begin + k, table, scales, block));
  Store(out + begin, values);
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads) UnpackSignedBytesKernel(const int8_t* codes, const float* scales, int64_t columns, T* out) {
  const int64_t row = blockIdx.x;
  const float scale = scales[row];
  for (int64_t i = static_cast<int64_t>(threadIdx.x) * kWidth; i < columns; i += kThreads * kWidth) {
    Pack<T, kWidth> values;
    for (int k = 0; k < kWidth; ++k) values.at[k] = FromFloat<T>(static_cast<float>(codes[row * columns + i + k]) * scale * 7.874015718698502e-3f);
    Store(out + row * columns + i, values);
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) FewRowsOfNibblesKernel(const T* x, int few, const uint8_t* codes, const float* table, const float* scales,
                                                                   int64_t block, int64_t rows, int64_t columns, T* y) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
  float sums[kMaxFewRows];
  for (int m = 0; m < kMaxFewRows; ++m) sums[m] = 0.0f;
  if (row < rows) {
    for (int64_t c = static_cast<int64_t>(threadIdx.x % kWarp) * 2; c < columns; c += kWarp * 2) {
      const int64_t flat = row * columns + c;
      const int byte = codes[flat / 2];
      const float scale = scales[flat / block];  // both of a byte: blocks are even
      const float first = ToFloat(FromFloat<T>(table[byte >> 4] * scale)), second = ToFloat(FromFloat<T>(table[byte & 15] * scale));
      for (int m = 0; m < few; ++m) sums[m] += first * ToFloat(x[m * columns + c]) + second * ToFloat(x[m * columns + c + 1]);
    }
  }
  for (int m = 0; m < few; ++m) {
    const float sum = WarpSum(sums[m]);
    if (row < rows && threadIdx.x % kWarp == 0) y[m * rows + row] = FromFloat<T>(sum);
  }
}

}  // namespace

void LaunchUnpackNibbles(Element type, const uint8_t* codes, const float* table, const float* scales, int64_t block, int64_t count, void* out,
                         Stream stream) {
  if (count == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    const bool wide = Alignment(kWide<T>).Address(out).Count(count).fits();
    const int64_t each = static_cast<int64_t>(kThreads) * (wide ? kWide<T> : 1);
    const auto kernel = wide ? UnpackNibblesKernel<T, kWide<T>> : UnpackNibblesKernel<T, 1>;
    Launch(kernel, (count + each - 1) / each, kThreads, stream, codes, table, scales, block, count, static_cast<T*>(out));
  });
}

void LaunchUnpackSignedBytes(Element type, const int8_t* codes, const float* scales, int64_t rows, int64_t columns, void* out, Stream stream) {
  if (rows == 0 || columns == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    const auto kernel = Alignment(kWide<T>).Address(out).Count(columns).fits() ? UnpackSignedBytesKernel<T, kWide<T>> : UnpackSignedBytesKernel<T, 1>;
    Launch(kernel, rows, kThreads, stream, codes, scales, columns, static_cast<T*>(out));
  });
}

void LaunchFewRowsOfNibbles(Element type, const void* x, int few, const uint8_t* codes, const float* table, const float* scales, int64_t block,
                            int64_t rows, int64_t columns, void* y, Stream stream) {
  if (rows == 0 || few == 0) return;
  const int64_t blocks = (rows + kThreads / kWarp - 1) / (kThreads / kWarp);
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    Launch(FewRowsOfNibblesKernel<T>, blocks, kThreads, stream, static_cast<const T*>(x), few, codes, table, scales, block, rows, columns, static_cast<T*>(y));
  });
}

}  // namespace ft::kernels::cuda
