// One group of threads a row: a warp where rows are short (heads), else a block. A row is read twice; the second read
// comes from the cache.
#include "core/kernels/cuda/rms_norm.h"

#include "core/kernels/cuda/device.h"
#include "core/kernels/cuda/math.h"

namespace ft::kernels::cuda {
namespace {

constexpr int64_t kWarpRow = 1024;       // rows up to this many elements get a warp
constexpr int64_t kPartialRows = 16;     // rows a partial sum of d weight covers at least
constexpr int64_t kMostPartials = 256;

template <typename T>
struct RowsOf {
  const T* data;
  int64_t rows, n, inner, outer_stride, inner_stride;

  explicit RowsOf(const StridedRows& x)
      : data(static_cast<const T*>(x.data)), rows(x.rows), n(x.n), inner(x.inner), outer_stride(x.outer_stride), inner_stride(x.inner_stride) {}
  __device__ const T* Row(int64_t row) const { return data + row / inner * outer_stride + row % inner * inner_stride; }
};

template <int kGroup>
__device__ inline int64_t RowOfGroup() {
  return static_cast<int64_t>(blockIdx.x) * (kThreads / kGroup) + threadIdx.x / kGroup;
}

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

template <typename T>
bool Wide(const StridedRows& x, const void* a, const void* b, const void* c) {
  return Alignment(kWide<T>).Address(x.data).Address(a).Address(b).Address(c).Count(x.n).Count(x.outer_stride).Count(x.inner_stride).fits();
}

int64_t Ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Calls fn with the pack width and the group size that suit these rows, as std::integral_constant-like values.
template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};
template <typename T, typename Fn>
void ForShape(bool wide, int64_t n, const Fn& fn) {
  const bool warp = n <= kWarpRow;
  if (wide && warp) return fn(Constant<kWide<T>>{}, Constant<kWarp>{});
  if (wide) return fn(Constant<kWide<T>>{}, Constant<kThreads>{});
  if (warp) return fn(Constant<1>{}, Constant<kWarp>{});
  return fn(Constant<1>{}, Constant<kThreads>{});
}

template <bool kRstdGiven>
void Forward(Element type, const StridedRows& x, const void* weight, float eps, float* rstd, void* y, Stream stream) {
  if (x.rows == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    ForShape<T>(Wide<T>(x, weight, y, y), x.n, [&](auto width, auto group) {
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
    ForShape<T>(Wide<T>(x, weight, dy, dx) && Alignment(1).Address(y).fits(), x.n, [&](auto width, auto group) {
      constexpr int kWidth = decltype(width)::value, kGroup = decltype(group)::value;
      Launch(BackwardKernel<T, kWidth, kGroup>, Ceil(x.rows, kThreads / kGroup), kThreads, stream, static_cast<const T*>(dy), RowsOf<T>(x),
             static_cast<const T*>(weight), rstd, static_cast<T*>(dx), static_cast<T*>(y));
    });
  });
}

int64_t RmsNormPartials(int64_t rows) {
  const int64_t partials = Ceil(rows, kPartialRows);
  return partials < kMostPartials ? partials : kMostPartials;
}

void LaunchRmsNormWeightGradient(Element type, const void* dy, const StridedRows& x, const float* rstd, float* partials, Stream stream) {
  const int64_t count = RmsNormPartials(x.rows), column_blocks = Ceil(x.n, kThreads);
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    Launch(WeightGradientKernel<T>, count * column_blocks, kThreads, stream, static_cast<const T*>(dy), RowsOf<T>(x), rstd,
           Ceil(x.rows, count), column_blocks, partials);
  });
}

}  // namespace ft::kernels::cuda
