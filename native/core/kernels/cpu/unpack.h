// Loops of quantized weights over raw memory: codes of few bits to numbers, products with rows made that way, and inputs
// rounded to 8 bits. One table an
// instruction set, chosen at run time as in row_ops.h; the results are the same bits in all of them but for the order of
// sums. T is float, or uint16_t: bits of bf16, rounded to nearest even.
#pragma once

#include <cstdint>

namespace ft::kernels::cpu {

template <typename T>
struct UnpackOps {
  /// out[i] = table[nibble k] · scales[k / block − begin / block] with k = begin + i: nibble 2j is the high half of codes[j],
  /// nibble 2j + 1 the low one. table [16].
  void (*nibbles)(const uint8_t* codes, int64_t begin, int64_t count, const float* table, const float* scales, int64_t block, T* out);
  /// out[i] = (nibble begin + i − zero) · scale
  void (*affine_nibbles)(const uint8_t* codes, int64_t begin, int64_t count, float zero, float scale, T* out);
  /// out[i] = (codes[i] − zero) · scale
  void (*bytes)(const uint8_t* codes, int64_t count, float zero, float scale, T* out);
  /// out[i] = codes[i] · scale · (1 / 127)
  void (*signed_bytes)(const int8_t* codes, int64_t count, float scale, T* out);
  /// out[i] = table[codes[i]] · scale; table [256].
  void (*coded)(const uint8_t* codes, int64_t count, const float* table, float scale, T* out);
  /// y[r · y_stride] += Σ w[i] · x[r · x_stride + i] over n values, for rows r of `few`.
  void (*dot_rows)(const T* w, int64_t n, const T* x, int64_t x_stride, int64_t few, float* y, int64_t y_stride);
  /// The largest |x| below `limit`; outliers[i] becomes 1 where |x[i]| >= limit, else stays.
  float (*largest_below)(const T* x, int64_t n, float limit, uint8_t* outliers);
  /// out = x rounded to 255 steps of largest / 127, but x itself where outliers[i]; NaN stays.
  void (*round_to_steps)(const T* x, int64_t n, float largest, const uint8_t* outliers, T* out);
};

/// The best version this CPU runs.
template <typename T>
const UnpackOps<T>& UnpackOpsFor();
/// Every version this CPU runs, the best first: for tests. Returns how many, at most 3.
template <typename T>
int AllUnpackOps(const UnpackOps<T>** out);

}  // namespace ft::kernels::cpu
