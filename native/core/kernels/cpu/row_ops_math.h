// Loads, stores and functions of one element for row_ops_impl.h, which includes this once an instruction set: branch-free
// fp32 arithmetic that the compiler vectorises. NaN goes in, NaN comes out.
#include <bit>
#include <cmath>
#include <cstdint>

#include "core/base/activation.h"
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

// Φ(x) = ½·erfc(−x/√2), the normal distribution function, and its density φ(x). The upper tail is φ̂(x)·t·P(t) with
// φ̂ = e^(−x²/2) and t = 1 / (1 + 0.35·x), P fitted to a relative error of 1.1e-7; with fp32 rounding Φ's relative error is
// below 1e-6 for |x| <= 5 and below 1e-5 while it is a normal number (x > −13).
struct Normal {
  float distribution, density;
};
inline Normal NormalOf(float x) {
  const float magnitude = std::fabs(x);
  const float bell = Exp(-0.5f * x * x), t = 1.0f / (1.0f + 0.35f * magnitude);
  float p = -0.0264139114f;
  p = p * t + 0.131973286f;
  p = p * t - 0.233652567f;
  p = p * t + 0.13711538f;
  p = p * t - 0.0100743965f;
  p = p * t + 0.100878321f;
  p = p * t + 0.120790918f;
  p = p * t + 0.139756995f;
  p = p * t + 0.139626028f;
  const float tail = bell * t * p;
  return {x < 0.0f ? tail : 1.0f - tail, 0.3989422804f * bell};
}

// An activation's value and derivative.
struct Activated {
  float value, slope;
};
template <Activation kActivation>
inline Activated Activate(float x) {
  if constexpr (kActivation == Activation::kRelu) {
    return {x <= 0.0f ? 0.0f : x, x > 0.0f ? 1.0f : 0.0f};
  } else if constexpr (kActivation == Activation::kSilu) {
    const float sigmoid = Sigmoid(x);
    return {x * sigmoid, sigmoid * (1.0f + x * (1.0f - sigmoid))};
  } else if constexpr (kActivation == Activation::kQuickGelu) {
    const float sigmoid = Sigmoid(1.702f * x);
    return {x * sigmoid, sigmoid * (1.0f + 1.702f * x * (1.0f - sigmoid))};
  } else if constexpr (kActivation == Activation::kRelu2) {
    const float positive = x <= 0.0f ? 0.0f : x;
    return {positive * positive, 2.0f * positive};
  } else {
    // Beyond ±30 both are 0 or x to the last bit; the bound keeps powers of x finite in the derivative.
    const float near = x < -30.0f ? -30.0f : x > 30.0f ? 30.0f : x;
    if constexpr (kActivation == Activation::kGelu) {
      const Normal normal = NormalOf(near);
      return {x * normal.distribution, normal.distribution + near * normal.density};
    } else {
      static_assert(kActivation == Activation::kGeluTanh);
      // ½·(1 + tanh(u)) = sigmoid(2u), which keeps its relative accuracy where tanh nears −1.
      const float square = near * near;
      const float sigmoid = Sigmoid(near * (1.5957691216f + 0.0713548163f * square));  // 2·√(2/π)·(x + 0.044715·x³)
      return {x * sigmoid, sigmoid + near * sigmoid * (1.0f - sigmoid) * (1.5957691216f + 0.2140644488f * square)};
    }
  }
}

}  // namespace
}  // namespace ft::kernels::cpu::FT_ROW_OPS_ISA
