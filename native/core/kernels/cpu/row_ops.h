// Elementwise and row-wise loops over raw memory, compiled once for each instruction set (row_ops_<isa>.cpp) and chosen
// when first used. Free of LibTorch. T is float or Bf16; everything is computed in fp32 and rounded once.
#pragma once

#include <cstdint>

#include "core/base/activation.h"
#include "core/kernels/adamw_factors.h"

namespace ft::kernels::cpu {

struct Bf16 {
  uint16_t bits;
};

// A matrix of heads: element (token, head, i) lies at data[token · token_stride + head · head_stride + i].
template <typename T>
struct HeadView {
  T* data;
  int64_t token_stride;
  int64_t head_stride;
};

/// One gated activation.
template <typename T>
struct GateOps {
  /// y [rows, n] = act(gate) · up of gate_up [rows, 2n].
  void (*forward)(const T* gate_up, int64_t rows, int64_t n, T* y);
  /// `y` becomes the output too, or is null.
  void (*backward)(const T* dy, const T* gate_up, int64_t rows, int64_t n, T* d_gate_up, T* y);
};

template <typename T>
struct RowOps {
  /// rstd[r] = 1 / sqrt(mean(x²) + eps); x row r starts at x + r · x_stride.
  void (*rms_rstd)(const T* x, int64_t x_stride, int64_t rows, int64_t n, float eps, float* rstd);
  /// y = x · rstd · w; y is contiguous.
  void (*rms_apply)(const T* x, int64_t x_stride, const float* rstd, const T* w, int64_t rows, int64_t n, T* y);
  /// dx contiguous; dy rows start at dy + r · dy_stride. `dw` [n] fp32 is added to, or null; y = x · rstd · w contiguous, or null.
  void (*rms_backward)(const T* dy, int64_t dy_stride, const T* x, int64_t x_stride, const float* rstd, const T* w, int64_t rows, int64_t n, T* dx,
                       float* dw, T* y);
  /// mean and rstd = 1 / sqrt(variance + eps) of each row.
  void (*layer_statistics)(const T* x, int64_t x_stride, int64_t rows, int64_t n, float eps, float* mean, float* rstd);
  /// y = (x − mean) · rstd · w + b; y is contiguous.
  void (*layer_apply)(const T* x, int64_t x_stride, const float* mean, const float* rstd, const T* w, const T* b, int64_t rows, int64_t n, T* y);
  /// dx contiguous. `dw` and `db` [n] fp32 are added to, or both null.
  void (*layer_backward)(const T* dy, int64_t dy_stride, const T* x, int64_t x_stride, const float* mean, const float* rstd, const T* w, int64_t rows,
                         int64_t n, T* dx, float* dw, float* db);
  /// (a, b) -> (a·cos − b·sin, b·cos + a·sin) for tokens [begin, end); cos, sin [tokens, half]; sign −1 rotates back.
  /// Dimensions from 2·half to head_dim are copied.
  void (*rotate)(HeadView<const T> x, HeadView<T> y, const float* cos, const float* sin, float sign, int64_t begin, int64_t end, int64_t heads,
                 int64_t half, int64_t head_dim);
  GateOps<T> gates[6];  // in the order of Activation
  /// log Σ e^x over n > 0 values; not finite where an x is NaN or +∞.
  float (*log_sum_exp)(const T* x, int64_t n);
  /// Returns lse − x[target]. With `scale`, x becomes (e^(x − lse) − onehot) · scale.
  float (*cross_entropy)(T* x, int64_t n, int64_t target, float lse, const double* scale);
  float (*sum_of_squares)(const T* x, int64_t n);
  /// One update of n parameters; the gradient becomes 0, `rounded` (or null) the new parameter.
  void (*adamw)(float* parameter, Bf16* rounded, T* gradient, float* first, float* second, int64_t n, const AdamWFactors& factors);
};

template <typename T>
const GateOps<T>& GateOf(const RowOps<T>& ops, Activation activation) {
  return ops.gates[static_cast<int>(activation)];
}

/// The best version this CPU runs.
template <typename T>
const RowOps<T>& RowOpsFor();
/// Its instruction set: "avx512", "avx2" or "baseline".
const char* RowOpsName();

}  // namespace ft::kernels::cpu
