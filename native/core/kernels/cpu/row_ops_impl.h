// The loops of row_ops.h. Included by one file an instruction set with FT_ROW_OPS_ISA defined: the compiler vectorises.
#ifdef __GNUC__
#pragma GCC optimize("no-math-errno", "no-trapping-math")  // else nearbyint and sqrt are calls, and loops stay scalar
#endif
#include <bit>
#include <cmath>

#include "core/kernels/cpu/row_ops.h"

namespace ft::kernels::cpu::FT_ROW_OPS_ISA {
namespace {

inline float Load(float x) { return x; }
inline float Load(Bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }
inline void Store(float& to, float x) { to = x; }
// Round to nearest even; NaN stays NaN.
inline void Store(Bf16& to, float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to.bits = static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

// e^x, relative error below 2e-7 (range reduction and a degree-6 polynomial as in Cephes expf).
inline float Exp(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  const float k = std::nearbyintf(x * 1.44269504f);
  float r = x - k * 0.693359375f;
  r = r + k * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * std::bit_cast<float>((static_cast<int32_t>(k) + 127) << 23);
}

inline float Sigmoid(float x) { return 1.0f / (1.0f + Exp(-x)); }

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
void RmsBackward(const T* dy, int64_t dy_stride, const T* x, int64_t x_stride, const float* rstd, const T* w, int64_t rows, int64_t n, T* dx, float* dw) {
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
    if (dw == nullptr) continue;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dw[i] += Load(grad[i]) * (Load(row[i]) * scale);
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

template <typename T>
void SiluGate(const T* gate_up, int64_t rows, int64_t n, T* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* gate = gate_up + r * 2 * n;
    const T* up = gate + n;
    T* out = y + r * n;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float g = Load(gate[i]);
      Store(out[i], g * Sigmoid(g) * Load(up[i]));
    }
  }
}

template <typename T>
void SiluGateBackward(const T* dy, const T* gate_up, int64_t rows, int64_t n, T* d_gate_up) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* gate = gate_up + r * 2 * n;
    const T* up = gate + n;
    const T* grad = dy + r * n;
    T* d_gate = d_gate_up + r * 2 * n;
    T* d_up = d_gate + n;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float g = Load(gate[i]), d = Load(grad[i]), sigmoid = Sigmoid(g);
      Store(d_up[i], d * g * sigmoid);
      Store(d_gate[i], d * Load(up[i]) * sigmoid * (1.0f + g * (1.0f - sigmoid)));
    }
  }
}

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
constexpr RowOps<T> kTable = {RmsRstd<T>,          RmsApply<T>,  RmsBackward<T>,  RotateTokens<T>, SiluGate<T>,
                              SiluGateBackward<T>, LogSumExp<T>, CrossEntropy<T>, SumOfSquares<T>, AdamW<T>};

}  // namespace

const RowOps<float>& TableF32() { return kTable<float>; }
const RowOps<Bf16>& TableBf16() { return kTable<Bf16>; }

}  // namespace ft::kernels::cpu::FT_ROW_OPS_ISA
