// The loops of unpack.h. Included by one file an instruction set with FT_UNPACK_ISA defined: the compiler vectorises, but
// for the lookup of nibbles, which is a shuffle of bytes or words where there is one.
#ifdef __GNUC__
#pragma GCC optimize("no-math-errno", "no-trapping-math")
#endif
#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#ifdef __AVX2__
// GCC 12 takes its own _mm512_undefined_epi32() for a mistake (PR 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#endif

#include "core/kernels/cpu/unpack.h"

namespace ft::kernels::cpu::FT_UNPACK_ISA {
namespace {

inline float ToFloat(float x) { return x; }
inline float ToFloat(uint16_t x) { return std::bit_cast<float>(static_cast<uint32_t>(x) << 16); }
inline void Store(float& to, float x) { to = x; }
// Round to nearest even; NaN stays NaN.
inline void Store(uint16_t& to, float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to = static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

// 32 values from 16 bytes.
constexpr int64_t kTogether = 32;

#if defined(__AVX512BW__) && defined(__AVX512VL__)
// Two word indices in each 32-bit lane: the high nibble of a byte, then the low one.
inline __m512i WordIndices(const uint8_t* codes) {
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  const __m512i low = _mm512_slli_epi32(_mm512_and_si512(bytes, _mm512_set1_epi32(15)), 16);
  return _mm512_or_si512(_mm512_srli_epi32(bytes, 4), low);
}
inline void Lookup(const uint8_t* codes, int64_t groups, const uint16_t* table, uint16_t* out) {
  const __m512i words = _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(table)));
  for (int64_t g = 0; g < groups; ++g) {
    _mm512_storeu_si512(out + g * kTogether, _mm512_permutexvar_epi16(WordIndices(codes + g * 16), words));
  }
}
inline void Lookup(const uint8_t* codes, int64_t groups, const float* table, float* out) {
  const __m512 values = _mm512_loadu_ps(table);
  for (int64_t g = 0; g < groups; ++g) {
    const __m512i words = WordIndices(codes + g * 16);
    const __m512i first = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(words));
    const __m512i second = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(words, 1));
    _mm512_storeu_ps(out + g * kTogether, _mm512_permutexvar_ps(first, values));
    _mm512_storeu_ps(out + g * kTogether + 16, _mm512_permutexvar_ps(second, values));
  }
}
#elif defined(__AVX2__)
// The nibbles of 16 bytes as 32 bytes, in order.
struct Nibbles {
  __m128i first, second;
  explicit Nibbles(const uint8_t* codes) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)), mask = _mm_set1_epi8(15);
    const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), mask), low = _mm_and_si128(bytes, mask);
    first = _mm_unpacklo_epi8(high, low), second = _mm_unpackhi_epi8(high, low);
  }
};
inline void Lookup(const uint8_t* codes, int64_t groups, const uint16_t* table, uint16_t* out) {
  alignas(16) uint8_t lower[16], upper[16];
  for (int i = 0; i < 16; ++i) lower[i] = static_cast<uint8_t>(table[i]), upper[i] = static_cast<uint8_t>(table[i] >> 8);
  const __m128i low = _mm_load_si128(reinterpret_cast<const __m128i*>(lower)), high = _mm_load_si128(reinterpret_cast<const __m128i*>(upper));
  for (int64_t g = 0; g < groups; ++g) {
    const Nibbles nibbles(codes + g * 16);
    auto* to = reinterpret_cast<__m128i*>(out + g * kTogether);
    for (const __m128i& index : {nibbles.first, nibbles.second}) {
      const __m128i a = _mm_shuffle_epi8(low, index), b = _mm_shuffle_epi8(high, index);
      _mm_storeu_si128(to++, _mm_unpacklo_epi8(a, b));
      _mm_storeu_si128(to++, _mm_unpackhi_epi8(a, b));
    }
  }
}
inline void Lookup(const uint8_t* codes, int64_t groups, const float* table, float* out) {
  const __m256 low = _mm256_loadu_ps(table), high = _mm256_loadu_ps(table + 8);
  for (int64_t g = 0; g < groups; ++g) {
    const Nibbles nibbles(codes + g * 16);
    float* to = out + g * kTogether;
    for (const __m128i& index : {nibbles.first, _mm_srli_si128(nibbles.first, 8), nibbles.second, _mm_srli_si128(nibbles.second, 8)}) {
      const __m256i lanes = _mm256_cvtepu8_epi32(index);
      const __m256 a = _mm256_permutevar8x32_ps(low, lanes), b = _mm256_permutevar8x32_ps(high, lanes);
      _mm256_storeu_ps(to, _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32(lanes, 28))));
      to += 8;
    }
  }
}
#else
template <typename T>
void Lookup(const uint8_t* codes, int64_t groups, const T* table, T* out) {
  for (int64_t i = 0; i < groups * kTogether / 2; ++i) {
    out[2 * i] = table[codes[i] >> 4];
    out[2 * i + 1] = table[codes[i] & 15];
  }
}
#endif

// Nibbles [begin, begin + count) through a table of what they stand for.
template <typename T>
void LookupRun(const uint8_t* codes, int64_t begin, int64_t count, const T* table, T* out) {
  int64_t i = 0;
  if (begin % 2 == 1 && count > 0) out[i++] = table[codes[begin / 2] & 15];
  const uint8_t* from = codes + (begin + i) / 2;
  const int64_t groups = (count - i) / kTogether;
  Lookup(from, groups, table, out + i);
  from += groups * 16, i += groups * kTogether;
  for (; i + 1 < count; i += 2, ++from) out[i] = table[*from >> 4], out[i + 1] = table[*from & 15];
  if (i < count) out[i] = table[*from >> 4];
}

template <typename T>
void UnpackNibbles(const uint8_t* codes, int64_t begin, int64_t count, const float* table, const float* scales, int64_t block, T* out) {
  for (int64_t at = begin; at < begin + count;) {
    const int64_t next = (at / block + 1) * block, end = next < begin + count ? next : begin + count;
    const float scale = scales[at / block - begin / block];
    T scaled[16];
#pragma omp simd
    for (int i = 0; i < 16; ++i) Store(scaled[i], table[i] * scale);
    LookupRun(codes, at, end - at, scaled, out + (at - begin));
    at = end;
  }
}

template <typename T>
void UnpackAffineNibbles(const uint8_t* codes, int64_t begin, int64_t count, float zero, float scale, T* out) {
  T values[16];
  for (int i = 0; i < 16; ++i) Store(values[i], (static_cast<float>(i) - zero) * scale);
  LookupRun(codes, begin, count, values, out);
}

template <typename T>
void UnpackBytes(const uint8_t* codes, int64_t count, float zero, float scale, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) Store(out[i], (static_cast<float>(codes[i]) - zero) * scale);
}

template <typename T>
void UnpackSignedBytes(const int8_t* codes, int64_t count, float scale, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) Store(out[i], static_cast<float>(codes[i]) * scale * 7.874015718698502e-3f);
}

template <typename T>
void UnpackCoded(const uint8_t* codes, int64_t count, const float* table, float scale, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) Store(out[i], table[codes[i]] * scale);
}

template <typename T>
void DotRows(const T* w, int64_t n, const T* x, int64_t x_stride, int64_t few, float* y, int64_t y_stride) {
  for (int64_t r = 0; r < few; ++r) {
    const T* row = x + r * x_stride;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) sum += ToFloat(w[i]) * ToFloat(row[i]);
    y[r * y_stride] += sum;
  }
}

template <typename T>
float LargestBelow(const T* x, int64_t n, float limit, uint8_t* outliers) {
  float largest = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; ++i) {
    const float size = std::fabs(ToFloat(x[i])), kept = size >= limit ? 0.0f : size;
    largest = kept > largest ? kept : largest;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) outliers[i] = static_cast<uint8_t>(outliers[i] | (std::fabs(ToFloat(x[i])) >= limit ? 1 : 0));
  return largest;
}

template <typename T>
void RoundToSteps(const T* x, int64_t n, float largest, const uint8_t* outliers, T* out) {
  const float forth = largest > 0 ? 127.0f / largest : 0.0f, back = largest / 127.0f;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float value = ToFloat(x[i]), rounded = std::nearbyintf(value * forth) * back;
    Store(out[i], outliers[i] != 0 ? value : rounded);
  }
}

template <typename T>
constexpr UnpackOps<T> kTable = {UnpackNibbles<T>, UnpackAffineNibbles<T>, UnpackBytes<T>, UnpackSignedBytes<T>, UnpackCoded<T>, DotRows<T>, LargestBelow<T>, RoundToSteps<T>};

}  // namespace

const UnpackOps<float>& UnpackF32() { return kTable<float>; }
const UnpackOps<uint16_t>& UnpackBf16() { return kTable<uint16_t>; }

}  // namespace ft::kernels::cpu::FT_UNPACK_ISA
