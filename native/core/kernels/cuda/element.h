// Element types of the CUDA kernels, loads and stores of several at once, and where a launch goes. Free of LibTorch
// and of the CUDA toolkit, so that the kernels also compile as plain C++ (test/native/cuda_emulator.h).
#pragma once

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define FT_HOST_DEVICE __host__ __device__
#else
#define FT_HOST_DEVICE
#endif

#include <cstdint>
#include <cstring>

struct CUstream_st;

namespace ft::kernels::cuda {

using Stream = ::CUstream_st*;  // cudaStream_t

enum class Element { kFloat, kBf16, kHalf };

struct Bf16 {
  uint16_t bits;
};
struct Half {
  uint16_t bits;
};

template <typename To, typename From>
FT_HOST_DEVICE inline To BitCast(From from) {
  static_assert(sizeof(To) == sizeof(From), "sizes differ");
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}

FT_HOST_DEVICE inline float ToFloat(float x) { return x; }
FT_HOST_DEVICE inline float ToFloat(Bf16 x) { return BitCast<float>(static_cast<uint32_t>(x.bits) << 16); }
FT_HOST_DEVICE inline float ToFloat(Half x) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(x.bits));
#else
  const uint32_t sign = (x.bits & 0x8000u) << 16, exponent = (x.bits >> 10) & 0x1fu, mantissa = x.bits & 0x3ffu;
  if (exponent == 0) {  // zero and subnormal: mantissa · 2^-24
    const float magnitude = static_cast<float>(mantissa) * 5.9604644775390625e-8f;
    return sign != 0 ? -magnitude : magnitude;
  }
  return BitCast<float>(sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | (mantissa << 13));
#endif
}

/// Round to nearest even; NaN stays NaN.
template <typename T>
FT_HOST_DEVICE inline T FromFloat(float x);

template <>
FT_HOST_DEVICE inline float FromFloat<float>(float x) {
  return x;
}

template <>
FT_HOST_DEVICE inline Bf16 FromFloat<Bf16>(float x) {
#ifdef __CUDA_ARCH__
  return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
#else
  const uint32_t bits = BitCast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fc0};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
#endif
}

template <>
FT_HOST_DEVICE inline Half FromFloat<Half>(float x) {
#ifdef __CUDA_ARCH__
  return {__half_as_ushort(__float2half_rn(x))};
#else
  const uint32_t bits = BitCast<uint32_t>(x), magnitude = bits & 0x7fffffffu;
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // 65520 and above: infinity
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the rounded subnormal in the low bits
    const uint32_t rounded = BitCast<uint32_t>(BitCast<float>(magnitude) + 0.5f) - 0x3f000000u;
    return {static_cast<uint16_t>(sign | rounded)};
  }
  const uint32_t rebiased = magnitude - (112u << 23);
  return {static_cast<uint16_t>(sign | ((rebiased + 0xfffu + ((rebiased >> 13) & 1u)) >> 13))};
#endif
}

/// kWidth elements that are loaded and stored at once. REQUIRES: an address that is a multiple of its size.
template <typename T, int kWidth>
struct alignas(sizeof(T) * kWidth) Pack {
  T at[kWidth];
};

template <int kWidth, typename T>
FT_HOST_DEVICE inline Pack<T, kWidth> Load(const T* from) {
  return *reinterpret_cast<const Pack<T, kWidth>*>(from);
}
template <int kWidth, typename T>
FT_HOST_DEVICE inline void Store(T* to, const Pack<T, kWidth>& pack) {
  *reinterpret_cast<Pack<T, kWidth>*>(to) = pack;
}

/// Elements in 16 bytes.
template <typename T>
constexpr int kWide = 16 / static_cast<int>(sizeof(T));

/// Calls fn with a value of the element type.
template <typename Fn>
void ForElement(Element element, const Fn& fn) {
  switch (element) {
    case Element::kFloat:
      return fn(float{});
    case Element::kBf16:
      return fn(Bf16{});
    case Element::kHalf:
      return fn(Half{});
  }
}

/// Whether packs of `width` elements fit: every address is a multiple of 16 bytes, every stride and size of `width`.
class Alignment {
 public:
  explicit Alignment(int width) : width_(width) {}
  Alignment& Address(const void* address) {
    fits_ = fits_ && reinterpret_cast<uintptr_t>(address) % 16 == 0;
    return *this;
  }
  Alignment& Count(int64_t count) {
    fits_ = fits_ && count % width_ == 0;
    return *this;
  }
  bool fits() const { return fits_; }

 private:
  int width_;
  bool fits_ = true;
};

}  // namespace ft::kernels::cuda
