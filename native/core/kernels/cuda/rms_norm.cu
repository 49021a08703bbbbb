// One group of threads a row: a warp where rows are short (heads), else a block. A row is read twice; the second read
// comes from the cache.
#include "core/kernels/cuda/rms_norm.h"

#include "core/kernels/cuda/math.h"
#include "core/kernels/cuda/row_groups.h"

namespace ft::kernels::cuda {
namespace {

template <typename T, int kWidth, int kGroup, bool kRstdGiven>
__global__ void __launch_bounds__(kThreads) ForwardKernel(RowsOf<T> x, const T* weight, float eps, float* rstd, T* y) {
  const int64_t row = RowOfGroup<kGroup>();
  if (row >= x.rows) return;  // a whole group
  const int lane = static_cast<int>(threadIdx.x % kGroup);
  const T* in = x.Row(row);
  float scale;
  if constexpr (kRstdGiven) {
    scale = rstd[row];
  } else {
    float sum = 0.0f;
    for (int64_t i = static_cast<int64_t>(lane) * kWidth; i < x.n; i += kGroup * kWidth) {
      const Pack<T, kWidth> pack = Load<kWidth>(in + i);
      for (int k = 0; k < kWidth; ++k) sum += ToFloat(pack.at[k]) * ToFloat(pack.at[k]);
    }
    scale = ReciprocalRms(GroupSum<kGroup>(sum), x.n, eps);
    if (lane == 0) rstd[row] = scale;
  }
  T* out = y + row * x.n;
  for (int64_t i = static_cast<int64_t>(lane) * kWidth; i < x.n; i += kGroup * kWidth) {
    const Pack<T, kWidth> pack = Load<kWidth>(in + i), w = Load<kWidth>(weight + i);
    Pack<T, kWidth> result;
    for (int k = 0; k < kWidth; ++k) result.at[k] = FromFloat<T>(RmsScaled(ToFloat(pack.at[k]), scale, ToFloat(w.at[k])));
    Store(out + i, result);
  }
}

template <typename T, int kWidth, int kGroup>
__global__ void __launch_bounds__(kThreads) BackwardKernel(const T* dy, RowsOf<T> x, const T* weight, const float* rstd, T* dx, T* y) {
  const int64_t row = RowOfGroup<kGroup>();
  if (row >= x.rows) return;  // a whole group
  const int lane = static_cast<int>(threadIdx.x % kGroup);
  const T* in = x.Row(row);
  const T* grad = dy + row * x.n;
  const float scale = rstd[row];
  float sum = 0.0f;
  for (int64_t i = static_cast<int64_t>(lane) * kWidth; i < x.n; i += kGroup * kWidth) {
    const Pack<T, kWidth> pack = Load<kWidth>(in + i), w = Load<kWidth>(weight + i), g = Load<kWidth>(grad + i);
    for (int k = 0; k < kWidth; ++k) sum += RmsProjectionTerm(ToFloat(g.at[k]), ToFloat(w.at[k]), ToFloat(pack.at[k]), scale);
  }
  const float projection = GroupSum<kGroup>(sum) / static_cast<float>(x.n);
  T* out = dx + row * x.n;
  for (int64_t i = static_cast<int64_t>(lane) * kWidth; i < x.n; i += kGroup * kWidth) {
    const Pack<T, kWidth> pack = Load<kWidth>(in + i), w = Load<kWidth>(weight + i), g = Load<kWidth>(grad + i);
    Pack<T, kWidth> result, again;
    for (int k = 0; k < kWidth; ++k) {
      again.at[k] = FromFloat<T>(RmsScaled(ToFloat(pack.at[k]), scale, ToFloat(w.at[k])));
      result.at[k] = FromFloat<T>(RmsInputGradient(ToFloat(g.at[k]), ToFloat(w.at[k]), ToFloat(pack.at[k]), scale, projection));
    }
    Store(out + i, result);
    if (y != nullptr) Store(y + row * x.n + i, again);
  }
}

// A thread a column; block b sums the columns of block b % column_blocks over the rows of partial b / column_blocks.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    WeightGradientKernel(const T* dy, RowsOf<T> x, const float* rstd, int64_t rows_each, int64_t column_blocks, float* partials) {
  const int64_t column = blockIdx.x % column_blocks * kThreads + threadIdx.x, partial = blockIdx.x / column_blocks;
  if (column >= x.n) return;
  const int64_t begin = partial * rows_each, end = begin + rows_each < x.rows ? begin + rows_each : x.rows;
  float sum = 0.0f;
  for (int64_t row = begin; row < end; ++row) sum += ToFloat(dy[row * x.n + column]) * (ToFloat(x.Row(row)[column]) * rstd[row]);
  partials[partial * x.n + column] = sum;
}

template <bool kRstdGiven>
void Forward(Element type, const StridedRows& x, const void* weight, float eps, float* rstd, void* y, Stream stream) {
  if (x.rows == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    ForShape<T>(PacksFit<T>(x, {weight, y}), x.n, [&](auto width, auto group) {
      constexpr int kWidth = decltype(width)::value, kGroup = decltype(group)::value;
      Launch(ForwardKernel<T, kWidth, kGroup, kRstdGiven>, Ceil(x.rows, kThreads / kGroup), kThreads, stream, RowsOf<T>(x),
             static_cast<const T*>(weight), eps, rstd, static_cast<T*>(y));
    });
  });
}

}  // namespace

void LaunchRmsNorm(Element type, const StridedRows& x, const void* weight, float eps, void* y, float* rstd, Stream stream) {
  Forward<false>(type, x, weight, eps, rstd, y, stream);
}

void LaunchRmsNormApply(Element type, const StridedRows& x, const void* weight, const float* rstd, void* y, Stream stream) {
  Forward<true>(type, x, weight, 0.0f, const_cast<float*>(rstd), y, stream);  // only read
}

void LaunchRmsNormBackward(Element type, const void* dy, const StridedRows& x, const void* weight, const float* rstd, void* dx, void* y, Stream stream) {
  if (x.rows == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    ForShape<T>(PacksFit<T>(x, {weight, dy, dx, y}), x.n, [&](auto width, auto group) {
      constexpr int kWidth = decltype(width)::value, kGroup = decltype(group)::value;
      Launch(BackwardKernel<T, kWidth, kGroup>, Ceil(x.rows, kThreads / kGroup), kThreads, stream, static_cast<const T*>(dy), RowsOf<T>(x),
             static_cast<const T*>(weight), rstd, static_cast<T*>(dx), static_cast<T*>(y));
    });
  });
}

void LaunchRmsNormWeightGradient(Element type, const void* dy, const StridedRows& x, const float* rstd, float* partials, Stream stream) {
  const int64_t count = RowPartials(x.rows), column_blocks = Ceil(x.n, kThreads);
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    Launch(WeightGradientKernel<T>, count * column_blocks, kThreads, stream, static_cast<const T*>(dy), RowsOf<T>(x), rstd,
           Ceil(x.rows, count), column_blocks, partials);
  });
}

}  // namespace ft::kernels::cuda
