// What the files with AVX512 bf16 instructions share: lanes, and the functions of one file that the table of another names.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__)

// GCC 12 takes its own _mm512_undefined_ps() for a mistake (PR 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <cstdint>

#include "core/kernels/cpu/bf16_tiles.h"

namespace ft::kernels::cpu {

inline constexpr int64_t kLanes = 16;

inline __m256i ToBf16(__m512 x) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)); }
inline __m512 FromBf16(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
inline __m256i Load16(const uint16_t* x) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)); }
inline void Store16(uint16_t* to, __m256i x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }
inline __mmask16 FirstLanes(int64_t n) { return n >= kLanes ? 0xffff : n <= 0 ? 0 : static_cast<__mmask16>((1u << n) - 1); }

// bf16_rows_avx512bf16.cpp
float DotRow(const uint16_t* x, const uint16_t* y, int64_t n);
void AddDots(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* x, float* y);
void AddFewRows(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* x, int64_t x_stride, int64_t few, float* y);
void AddLanes(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* pairs, int64_t lanes, float* c);
void AddWeightedRows(const uint16_t* weights, const uint16_t* x, int64_t stride, int64_t rows, int64_t n, float* y);

}  // namespace ft::kernels::cpu

#endif
