// RMSNorm on CUDA: the contract of kernels/norm.h on raw device memory. Sums in fp32 in a fixed order, one rounding an
// output; no atomics, so a call repeats bit for bit. Everything runs on `stream`; nothing is allocated.
#pragma once

#include "core/kernels/cuda/strided_rows.h"

namespace ft::kernels::cuda {

/// y [rows, n] contiguous; weight [n] of x's type; rstd fp32 [rows].
void LaunchRmsNorm(Element type, const StridedRows& x, const void* weight, float eps, void* y, float* rstd, Stream stream);
/// y again from rstd, to the same bits.
void LaunchRmsNormApply(Element type, const StridedRows& x, const void* weight, const float* rstd, void* y, Stream stream);
/// dy and dx [rows, n] contiguous; y as LaunchRmsNormApply's, to the same bits, or null.
void LaunchRmsNormBackward(Element type, const void* dy, const StridedRows& x, const void* weight, const float* rstd, void* dx, void* y, Stream stream);

/// partials fp32 [RowPartials(rows), n]: their sum over the first dimension is d weight. REQUIRES: rows > 0.
void LaunchRmsNormWeightGradient(Element type, const void* dy, const StridedRows& x, const float* rstd, float* partials, Stream stream);

}  // namespace ft::kernels::cuda
