// What lies around the small matrix products that bf16 kernels are made of (bf16_products.h), over raw memory, for CPUs
// with AVX512 and its bf16 instructions. Free of LibTorch. Tiles are kTile rows or columns wide; "pairs" is the layout
// that these products want of their right operand [k, n]: 32-bit words [k / 2, n], each two values that follow each
// other in k.
#pragma once

#include <cstdint>

namespace ft::kernels::cpu {

inline constexpr int64_t kTile = 64;    // tokens
inline constexpr int64_t kMostFew = 4;  // rows of activations that weights meet one by one

/// Which (query, key) pairs of a tile are seen: key k of [0, kTile) is visible to query q when
/// low + q <= k <= high + q. A tile left of the diagonal without a window has both bounds out of reach.
struct TileBand {
  int64_t low = -kTile;  // q − low … the oldest key
  int64_t high = kTile;
};

struct ScoreOptions {
  float scale;
  float softcap;  // 0: none; else scores become softcap · tanh(score · scale / softcap)
};

struct Bf16Tiles {
  /// Columns [0, columns) of up to kTile rows (row stride `stride`), transposed, as pairs: words [columns / 2, kTile].
  /// columns even. What is missing of kTile rows becomes 0.
  void (*pack_columns)(const uint16_t* x, int64_t stride, int64_t rows, int64_t columns, uint16_t* out);
  /// `columns` columns of `rows` rows as pairs over rows: words [ceil(rows / 2), width]; what is missing becomes 0. width a
  /// multiple of 16, at least columns.
  void (*pack_rows)(const uint16_t* x, int64_t stride, int64_t rows, int64_t columns, int64_t width, uint16_t* out);
  /// out = c + residual + bias, in bf16: rows × columns of c [.., kTile] fp32, 64-byte aligned, whose rows are read whole.
  /// residual (row stride as out's) and bias may be null.
  void (*store_tile)(const float* c, int64_t rows, int64_t columns, const uint16_t* residual, const uint16_t* bias, uint16_t* out, int64_t stride);

  /// out += c · scale, both fp32: rows × columns of c [.., kTile]; element (r, i) of out lies at r · row_stride + i · column_stride.
  void (*add_tile)(const float* c, int64_t rows, int64_t columns, float scale, float* out, int64_t row_stride, int64_t column_stride);

  /// Copies `rows` rows of n values (row stride `stride`) to [kTile, width]; what is missing becomes 0. width >= n.
  void (*copy_rows)(const uint16_t* x, int64_t stride, int64_t rows, int64_t n, int64_t width, uint16_t* out);
  /// x [kTile, width] -> xᵀ [width, kTile], rows of the result `stride` apart. width a multiple of 32.
  void (*transpose)(const uint16_t* x, int64_t width, uint16_t* out, int64_t stride);

  /// One query row against `tiles` tiles of keys. scores [tiles · kTile] raw products; visible are [begin, end).
  /// Updates the running maximum and sum, writes e^(score − maximum) as bf16 (0 where unseen) and returns what earlier
  /// sums must be multiplied with.
  float (*softmax_row)(const float* scores, int64_t columns, int64_t begin, int64_t end, const ScoreOptions& options, float* maximum, float* sum,
                       uint16_t* probabilities);
  /// x [n] *= factor.
  void (*scale_row)(float* x, int64_t n, float factor);
  /// out [n] bf16 = x [n] · factor.
  void (*store_row)(const float* x, int64_t n, float factor, uint16_t* out);

  /// Sum of x · y over n values.
  float (*dot_row)(const uint16_t* x, const uint16_t* y, int64_t n);
  /// y [rows] += w · x of w [rows, n] (row stride `stride`) and x [n]: many short rows, as cached keys are.
  void (*add_dots)(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* x, float* y);
  /// y [few, kTile] += x · wᵀ of w [rows, n] (row stride `stride`), rows <= kTile, and x [few, n] (row stride `x_stride`), few <=
  /// kMostFew.
  void (*add_few_rows)(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* x, int64_t x_stride, int64_t few, float* y);
  /// c [rows, lanes] += w · xᵀ of w [rows, n] (row stride `stride`) for `lanes` rows of x as pairs, words [n / 2, lanes]: w is
  /// read once, where it lies. lanes 16 or 32, n even and positive.
  void (*add_lanes)(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* pairs, int64_t lanes, float* c);
  /// c [kTile, lanes] -> cᵀ, of rows kTile long.
  void (*turn_lanes)(const float* c, int64_t lanes, float* out);
  /// y [n] += Σ weights[r] · x[r] over `rows` rows of x (row stride `stride`); weights bf16.
  void (*add_weighted_rows)(const uint16_t* weights, const uint16_t* x, int64_t stride, int64_t rows, int64_t n, float* y);
  /// Backward of the softmax in one tile, keys by queries: from scores = k qᵀ and dp = v doutᵀ (both [kTile, kTile]),
  /// the log-sum-exp and Σ dout·out of each query. Writes p and ds (both times `scale` where due) as bf16
  /// [kTile, kTile], and ds as pairs over keys.
  void (*softmax_backward)(const float* scores, const float* dp, const float* lse, const float* delta, const TileBand& band,
                           const ScoreOptions& options, uint16_t* p, uint16_t* ds, uint16_t* ds_pairs);
  /// x [rows of width, kTile] fp32 -> `rows` rows [.., n] of bf16 with row stride `stride`: the transpose, without padding.
  void (*store_transposed)(const float* x, int64_t rows, int64_t n, uint16_t* out, int64_t stride);
};

/// Null where this CPU lacks the instructions.
const Bf16Tiles* BestBf16Tiles();

}  // namespace ft::kernels::cpu
