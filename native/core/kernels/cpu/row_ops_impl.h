// The loops of row_ops.h. Included by one file an instruction set with FT_ROW_OPS_ISA defined: the compiler vectorises.
#ifdef __GNUC__
#pragma GCC optimize("no-math-errno", "no-trapping-math")  // else nearbyint and sqrt are calls, and loops stay scalar
#endif
#include "core/kernels/cpu/row_ops.h"
#include "core/kernels/cpu/row_ops_math.h"

namespace ft::kernels::cpu::FT_ROW_OPS_ISA {
namespace {

template <typename T>
void RmsRstd(const T* x, int64_t x_stride, int64_t rows, int64_t n, float eps, float* rstd) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x + r * x_stride;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) sum += Load(row[i]) * Load(row[i]);
    rstd[r] = 1.0f / std::sqrt(sum / static_cast<float>(n) + eps);
  }
}

template <typename T>
void RmsApply(const T* x, int64_t x_stride, const float* rstd, const T* w, int64_t rows, int64_t n, T* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x + r * x_stride;
    T* out = y + r * n;
    const float scale = rstd[r];
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) Store(out[i], Load(row[i]) * scale * Load(w[i]));
  }
}

template <typename T>
void RmsBackward(const T* dy, int64_t dy_stride, const T* x, int64_t x_stride, const float* rstd, const T* w, int64_t rows, int64_t n, T* dx, float* dw,
                 T* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x + r * x_stride;
    const T* grad = dy + r * dy_stride;
    T* out = dx + r * n;
    const float scale = rstd[r];
    float projection = 0;
#pragma omp simd reduction(+ : projection)
    for (int64_t i = 0; i < n; ++i) projection += Load(grad[i]) * Load(w[i]) * (Load(row[i]) * scale);
    projection /= static_cast<float>(n);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) Store(out[i], (Load(grad[i]) * Load(w[i]) - Load(row[i]) * scale * projection) * scale);
    if (y != nullptr) RmsApply(row, n, rstd + r, w, 1, n, y + r * n);
    if (dw == nullptr) continue;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dw[i] += Load(grad[i]) * (Load(row[i]) * scale);
  }
}

template <typename T>
void LayerStatistics(const T* x, int64_t x_stride, int64_t rows, int64_t n, float eps, float* mean, float* rstd) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x + r * x_stride;
    float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) sum += Load(row[i]);
    const float middle = sum / static_cast<float>(n);
    // A second pass: E[x²] − mean² would cancel where the mean is large.
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < n; ++i) squares += (Load(row[i]) - middle) * (Load(row[i]) - middle);
    mean[r] = middle;
    rstd[r] = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
  }
}

template <typename T>
void LayerApply(const T* x, int64_t x_stride, const float* mean, const float* rstd, const T* w, const T* b, int64_t rows, int64_t n, T* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x + r * x_stride;
    T* out = y + r * n;
    const float middle = mean[r], scale = rstd[r];
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) Store(out[i], (Load(row[i]) - middle) * scale * Load(w[i]) + Load(b[i]));
  }
}

template <typename T>
void LayerBackward(const T* dy, int64_t dy_stride, const T* x, int64_t x_stride, const float* mean, const float* rstd, const T* w, int64_t rows,
                   int64_t n, T* dx, float* dw, float* db) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x + r * x_stride;
    const T* grad = dy + r * dy_stride;
    T* out = dx + r * n;
    const float middle = mean[r], scale = rstd[r];
    float average = 0, projection = 0;
#pragma omp simd reduction(+ : average, projection)
    for (int64_t i = 0; i < n; ++i) {
      const float d = Load(grad[i]) * Load(w[i]);  // d normalized
      average += d;
      projection += d * ((Load(row[i]) - middle) * scale);
    }
    average /= static_cast<float>(n);
    projection /= static_cast<float>(n);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      Store(out[i], (Load(grad[i]) * Load(w[i]) - average - (Load(row[i]) - middle) * scale * projection) * scale);
    }
    if (dw == nullptr) continue;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      dw[i] += Load(grad[i]) * ((Load(row[i]) - middle) * scale);
      db[i] += Load(grad[i]);
    }
  }
}

template <typename T>
void RotateTokens(HeadView<const T> x, HeadView<T> y, const float* cos, const float* sin, float sign, int64_t begin, int64_t end, int64_t heads,
                  int64_t half, int64_t head_dim) {
  for (int64_t t = begin; t < end; ++t) {
    const float* c = cos + t * half;
    const float* s = sin + t * half;
    for (int64_t h = 0; h < heads; ++h) {
      const T* in = x.data + t * x.token_stride + h * x.head_stride;
      T* out = y.data + t * y.token_stride + h * y.head_stride;
#pragma omp simd
      for (int64_t i = 0; i < half; ++i) {
        const float a = Load(in[i]), b = Load(in[half + i]), turn = sign * s[i];
        Store(out[i], a * c[i] - b * turn);
        Store(out[half + i], b * c[i] + a * turn);
      }
      for (int64_t i = 2 * half; i < head_dim; ++i) out[i] = in[i];
    }
  }
}

template <typename T, Activation kActivation>
void Gate(const T* gate_up, int64_t rows, int64_t n, T* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* gate = gate_up + r * 2 * n;
    const T* up = gate + n;
    T* out = y + r * n;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) Store(out[i], Activate<kActivation>(Load(gate[i])).value * Load(up[i]));
  }
}

template <typename T, Activation kActivation, bool kOutput>
void GateBackwardOf(const T* dy, const T* gate_up, int64_t rows, int64_t n, T* d_gate_up, T* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* gate = gate_up + r * 2 * n;
    const T* up = gate + n;
    const T* grad = dy + r * n;
    T* d_gate = d_gate_up + r * 2 * n;
    T* d_up = d_gate + n;
    [[maybe_unused]] T* out = kOutput ? y + r * n : nullptr;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const Activated act = Activate<kActivation>(Load(gate[i]));
      Store(d_up[i], Load(grad[i]) * act.value);
      Store(d_gate[i], Load(grad[i]) * Load(up[i]) * act.slope);
      if constexpr (kOutput) Store(out[i], act.value * Load(up[i]));
    }
  }
}

template <typename T, Activation kActivation>
void GateBackward(const T* dy, const T* gate_up, int64_t rows, int64_t n, T* d_gate_up, T* y) {
  const auto run = y != nullptr ? GateBackwardOf<T, kActivation, true> : GateBackwardOf<T, kActivation, false>;
  run(dy, gate_up, rows, n, d_gate_up, y);
}

template <typename T, Activation kActivation>
constexpr GateOps<T> kGate = {Gate<T, kActivation>, GateBackward<T, kActivation>};

template <typename T>
float LogSumExp(const T* x, int64_t n) {
  float maximum = -__builtin_inff();
#pragma omp simd reduction(max : maximum)
  for (int64_t i = 0; i < n; ++i) {
    const float value = Load(x[i]);
    maximum = maximum < value ? value : maximum;
  }
  if (maximum == -__builtin_inff()) maximum = 0.0f;  // all of them −∞, or NaN, which the sum keeps
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += Exp(Load(x[i]) - maximum);
  return maximum + std::log(sum);
}

template <typename T>
float CrossEntropy(T* x, int64_t n, int64_t target, float lse, const double* scale) {
  const float score = Load(x[target]);
  if (scale == nullptr) return lse - score;
  const auto factor = static_cast<float>(*scale);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) Store(x[i], Exp(Load(x[i]) - lse) * factor);
  Store(x[target], (Exp(score - lse) - 1.0f) * factor);
  return lse - score;
}

template <typename T>
float SumOfSquares(const T* x, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += Load(x[i]) * Load(x[i]);
  return sum;
}

template <bool kRounded, typename T>
void AdamWOf(float* parameter, Bf16* rounded, T* gradient, float* first, float* second, int64_t n, const AdamWFactors& factors) {
  const AdamWFactors f = factors;  // a copy: stores cannot alias it
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float g = Load(gradient[i]) * f.grad_scale;
    const float m = first[i] + f.one_minus_b1 * (g - first[i]);
    const float v = f.b2 * second[i] + f.one_minus_b2 * g * g;
    const float p = parameter[i] * f.decay - f.step_size * m / (std::sqrt(v) * f.v_scale + f.eps);
    first[i] = m;
    second[i] = v;
    parameter[i] = p;
    if constexpr (kRounded) Store(rounded[i], p);
    Store(gradient[i], 0.0f);
  }
}

template <typename T>
void AdamW(float* parameter, Bf16* rounded, T* gradient, float* first, float* second, int64_t n, const AdamWFactors& factors) {
  const auto run = rounded != nullptr ? AdamWOf<true, T> : AdamWOf<false, T>;
  run(parameter, rounded, gradient, first, second, n, factors);
}

template <typename T>
constexpr RowOps<T> kTable = {
    RmsRstd<T>,
    RmsApply<T>,
    RmsBackward<T>,
    LayerStatistics<T>,
    LayerApply<T>,
    LayerBackward<T>,
    RotateTokens<T>,
    {kGate<T, Activation::kSilu>, kGate<T, Activation::kGelu>, kGate<T, Activation::kGeluTanh>, kGate<T, Activation::kRelu>,
     kGate<T, Activation::kQuickGelu>, kGate<T, Activation::kRelu2>},
    LogSumExp<T>,
    CrossEntropy<T>,
    SumOfSquares<T>,
    AdamW<T>,
};

}  // namespace

const RowOps<float>& TableF32() { return kTable<float>; }
const RowOps<Bf16>& TableBf16() { return kTable<Bf16>; }

}  // namespace ft::kernels::cpu::FT_ROW_OPS_ISA
