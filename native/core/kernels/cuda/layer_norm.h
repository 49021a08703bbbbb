// LayerNorm on CUDA: the contract of kernels/layer_norm.h on raw device memory. Sums in fp32 in a fixed order, one rounding an
// output; no atomics, so a call repeats bit for bit. Everything runs on `stream`; nothing is allocated.
#pragma once

#include "core/kernels/cuda/strided_rows.h"

namespace ft::kernels::cuda {

/// What belongs to the rows: weight and bias [n] of x's type, or null; mean and rstd fp32 [rows].
struct LayerNormArguments {
  const void *weight, *bias;
  float *mean, *rstd;
};

/// y [rows, n] contiguous; writes mean and rstd.
void LaunchLayerNorm(Element type, const StridedRows& x, const LayerNormArguments& a, float eps, void* y, Stream stream);
/// y again from mean and rstd, to the same bits.
void LaunchLayerNormApply(Element type, const StridedRows& x, const LayerNormArguments& a, void* y, Stream stream);
/// dy and dx [rows, n] contiguous.
void LaunchLayerNormBackward(Element type, const void* dy, const StridedRows& x, const LayerNormArguments& a, void* dx, Stream stream);
/// Both fp32 [RowPartials(rows), n]: their sums over the first dimension are d weight and d bias. REQUIRES: rows > 0.
void LaunchLayerNormParameterGradients(Element type, const void* dy, const StridedRows& x, const LayerNormArguments& a, float* weight_partials,
                                       float* bias_partials, Stream stream);

}  // namespace ft::kernels::cuda
