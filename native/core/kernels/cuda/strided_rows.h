// Rows in device memory, as the norms take them. Free of LibTorch and of the CUDA toolkit.
#pragma once

#include "core/kernels/cuda/element.h"

namespace ft::kernels::cuda {

/// Rows of n elements, which lie side by side. Row r starts at (r / inner) · outer_stride + (r % inner) · inner_stride.
struct StridedRows {
  const void* data;
  int64_t rows, n;
  int64_t inner, outer_stride, inner_stride;
};

/// How many partial sums over so many rows a norm's weight gradient is made of: of 16 rows at least, 256 at most.
inline int64_t RowPartials(int64_t rows) {
  const int64_t partials = (rows + 15) / 16;
  return partials < 256 ? partials : 256;
}

}  // namespace ft::kernels::cuda
