// Rows of a tensor for the row-wise loops of row_ops.h, and the ways to go over them.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <vector>

#include "core/kernels/cpu/row_ops_tensor.h"

namespace ft::kernels::cpu {

/// A view [rows, n] of x: [..., n] with one stride between rows, as q and k have inside a fused product. REQUIRES: n > 0.
struct Rows {
  at::Tensor kept;  // keeps a copy alive where the layout called for one
  int64_t rows, n;
  // Rows come in `outer` groups of `inner`; strides in elements.
  int64_t inner, outer, outer_stride, inner_stride;

  explicit Rows(const at::Tensor& x) : kept(x), n(x.size(-1)) {
    // Three dimensions stay three: what goes beside x, row by row, is laid out alike.
    if (x.dim() != 2 && x.dim() != 3) kept = x.contiguous().view({x.numel() / n, n});
    if (kept.stride(-1) != 1) kept = kept.contiguous();
    rows = kept.numel() / n;
    inner = kept.dim() == 3 ? std::max<int64_t>(1, kept.size(1)) : 1;
    outer = rows / inner;
    outer_stride = kept.stride(0);
    inner_stride = kept.dim() == 3 ? kept.stride(1) : 0;
  }

  /// Sums over rows are made block by block and added up in order, so that threads do not change them.
  static constexpr int64_t kBlock = 128;
  int64_t Blocks() const { return (outer + kBlock - 1) / kBlock; }
};

template <typename Body>  // body(outer index)
void ForOuter(const Rows& x, const Body& body) {
  at::parallel_for(0, x.outer, RowGrain(x.n * x.inner), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) body(o);
  });
}

template <typename Body>  // body(outer index, its block)
void ForOuterInBlocks(const Rows& x, const Body& body) {
  at::parallel_for(0, x.Blocks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      for (int64_t o = block * Rows::kBlock; o < std::min(x.outer, (block + 1) * Rows::kBlock); ++o) body(o, block);
    }
  });
}

/// The shape of one number a row: x's with 1 for the last dimension.
inline std::vector<int64_t> RowShape(const at::Tensor& x) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = 1;
  return shape;
}

}  // namespace ft::kernels::cpu
