// A row is read two or three times; all but the first read come from the cache.
#include "core/kernels/cuda/layer_norm.h"

#include "core/kernels/cuda/math.h"
#include "core/kernels/cuda/row_groups.h"

namespace ft::kernels::cuda {
namespace {

// A weight or bias that may be absent.
template <typename T>
struct Parameter {
  const T* data;
  float otherwise;

  template <int kWidth>
  __device__ Pack<T, kWidth> At(int64_t i) const {
    if (data != nullptr) return Load<kWidth>(data + i);
    Pack<T, kWidth> pack;
    for (int k = 0; k < kWidth; ++k) pack.at[k] = FromFloat<T>(otherwise);
    return pack;
  }
};

template <typename T>
Parameter<T> WeightOf(const LayerNormArguments& a) {
  return {static_cast<const T*>(a.weight), 1.0f};
}

template <typename T, int kWidth, int kGroup, bool kGiven>
__global__ void __launch_bounds__(kThreads)
    LayerForwardKernel(RowsOf<T> x, Parameter<T> weight, Parameter<T> bias, float eps, float* mean, float* rstd, T* y) {
  const int64_t row = RowOfGroup<kGroup>();
  if (row >= x.rows) return;  // a whole group
  const int64_t first = static_cast<int64_t>(threadIdx.x % kGroup) * kWidth;
  const T* in = x.Row(row);
  float middle, scale;
  if constexpr (kGiven) {
    middle = mean[row];
    scale = rstd[row];
  } else {
    float sum = 0.0f, squares = 0.0f;
    for (int64_t i = first; i < x.n; i += kGroup * kWidth) {
      const Pack<T, kWidth> pack = Load<kWidth>(in + i);
      for (int k = 0; k < kWidth; ++k) sum += ToFloat(pack.at[k]);
    }
    middle = GroupSum<kGroup>(sum) / static_cast<float>(x.n);
    for (int64_t i = first; i < x.n; i += kGroup * kWidth) {
      const Pack<T, kWidth> pack = Load<kWidth>(in + i);
      for (int k = 0; k < kWidth; ++k) squares += (ToFloat(pack.at[k]) - middle) * (ToFloat(pack.at[k]) - middle);
    }
    scale = ReciprocalRms(GroupSum<kGroup>(squares), x.n, eps);
    if (first == 0) {
      mean[row] = middle;
      rstd[row] = scale;
    }
  }
  T* out = y + row * x.n;
  for (int64_t i = first; i < x.n; i += kGroup * kWidth) {
    const Pack<T, kWidth> pack = Load<kWidth>(in + i), w = weight.template At<kWidth>(i), b = bias.template At<kWidth>(i);
    Pack<T, kWidth> result;
    for (int k = 0; k < kWidth; ++k) {
      result.at[k] = FromFloat<T>(LayerNormalized(ToFloat(pack.at[k]), middle, scale) * ToFloat(w.at[k]) + ToFloat(b.at[k]));
    }
    Store(out + i, result);
  }
}

template <typename T, int kWidth, int kGroup>
__global__ void __launch_bounds__(kThreads)
    LayerBackwardKernel(const T* dy, RowsOf<T> x, Parameter<T> weight, const float* mean, const float* rstd, T* dx) {
  const int64_t row = RowOfGroup<kGroup>();
  if (row >= x.rows) return;  // a whole group
  const int64_t first = static_cast<int64_t>(threadIdx.x % kGroup) * kWidth;
  const T* in = x.Row(row);
  const T* grad = dy + row * x.n;
  const float middle = mean[row], scale = rstd[row];
  float sum = 0.0f, projected = 0.0f;
  for (int64_t i = first; i < x.n; i += kGroup * kWidth) {
    const Pack<T, kWidth> pack = Load<kWidth>(in + i), w = weight.template At<kWidth>(i), g = Load<kWidth>(grad + i);
    for (int k = 0; k < kWidth; ++k) {
      const float d = ToFloat(g.at[k]) * ToFloat(w.at[k]);
      sum += d;
      projected += d * LayerNormalized(ToFloat(pack.at[k]), middle, scale);
    }
  }
  const float average = GroupSum<kGroup>(sum) / static_cast<float>(x.n), projection = GroupSum<kGroup>(projected) / static_cast<float>(x.n);
  T* out = dx + row * x.n;
  for (int64_t i = first; i < x.n; i += kGroup * kWidth) {
    const Pack<T, kWidth> pack = Load<kWidth>(in + i), w = weight.template At<kWidth>(i), g = Load<kWidth>(grad + i);
    Pack<T, kWidth> result;
    for (int k = 0; k < kWidth; ++k) {
      const float normalized = LayerNormalized(ToFloat(pack.at[k]), middle, scale);
      result.at[k] = FromFloat<T>((ToFloat(g.at[k]) * ToFloat(w.at[k]) - average - normalized * projection) * scale);
    }
    Store(out + i, result);
  }
}

// A thread a column; block b sums the columns of block b % column_blocks over the rows of partial b / column_blocks.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    LayerParameterKernel(const T* dy, RowsOf<T> x, const float* mean, const float* rstd, int64_t rows_each, int64_t column_blocks, float* weight_partials,
                         float* bias_partials) {
  const int64_t column = blockIdx.x % column_blocks * kThreads + threadIdx.x, partial = blockIdx.x / column_blocks;
  if (column >= x.n) return;
  const int64_t begin = partial * rows_each, end = begin + rows_each < x.rows ? begin + rows_each : x.rows;
  float dw = 0.0f, db = 0.0f;
  for (int64_t row = begin; row < end; ++row) {
    const float g = ToFloat(dy[row * x.n + column]);
    dw += g * LayerNormalized(ToFloat(x.Row(row)[column]), mean[row], rstd[row]);
    db += g;
  }
  weight_partials[partial * x.n + column] = dw;
  bias_partials[partial * x.n + column] = db;
}

template <bool kGiven>
void LayerForward(Element type, const StridedRows& x, const LayerNormArguments& a, float eps, void* y, Stream stream) {
  if (x.rows == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    const Parameter<T> bias{static_cast<const T*>(a.bias), 0.0f};
    ForShape<T>(PacksFit<T>(x, {a.weight, a.bias, y}), x.n, [&](auto width, auto group) {
      constexpr int kWidth = decltype(width)::value, kGroup = decltype(group)::value;
      Launch(LayerForwardKernel<T, kWidth, kGroup, kGiven>, Ceil(x.rows, kThreads / kGroup), kThreads, stream, RowsOf<T>(x), WeightOf<T>(a), bias, eps,
             a.mean, a.rstd, static_cast<T*>(y));
    });
  });
}

}  // namespace

void LaunchLayerNorm(Element type, const StridedRows& x, const LayerNormArguments& a, float eps, void* y, Stream stream) {
  LayerForward<false>(type, x, a, eps, y, stream);
}

void LaunchLayerNormApply(Element type, const StridedRows& x, const LayerNormArguments& a, void* y, Stream stream) {
  LayerForward<true>(type, x, a, 0.0f, y, stream);
}

void LaunchLayerNormBackward(Element type, const void* dy, const StridedRows& x, const LayerNormArguments& a, void* dx, Stream stream) {
  if (x.rows == 0) return;
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    ForShape<T>(PacksFit<T>(x, {a.weight, dy, dx}), x.n, [&](auto width, auto group) {
      constexpr int kWidth = decltype(width)::value, kGroup = decltype(group)::value;
      Launch(LayerBackwardKernel<T, kWidth, kGroup>, Ceil(x.rows, kThreads / kGroup), kThreads, stream, static_cast<const T*>(dy), RowsOf<T>(x),
             WeightOf<T>(a), a.mean, a.rstd, static_cast<T*>(dx));
    });
  });
}

void LaunchLayerNormParameterGradients(Element type, const void* dy, const StridedRows& x, const LayerNormArguments& a, float* weight_partials,
                                       float* bias_partials, Stream stream) {
  const int64_t count = RowPartials(x.rows), column_blocks = Ceil(x.n, kThreads);
  ForElement(type, [&](auto element) {
    using T = decltype(element);
    Launch(LayerParameterKernel<T>, count * column_blocks, kThreads, stream, static_cast<const T*>(dy), RowsOf<T>(x), a.mean, a.rstd,
           Ceil(x.rows, count), column_blocks, weight_partials, bias_partials);
  });
}

}  // namespace ft::kernels::cuda
