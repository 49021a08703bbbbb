// One group of threads a row: a warp where rows are short (heads), else a block. For the .cu files of the norms.
#pragma once

#include <initializer_list>

#include "core/kernels/cuda/device.h"
#include "core/kernels/cuda/strided_rows.h"

namespace ft::kernels::cuda {

constexpr int64_t kWarpRow = 1024;  // rows up to this many elements get a warp

template <typename T>
struct RowsOf {
  const T* data;
  int64_t rows, n, inner, outer_stride, inner_stride;

  explicit RowsOf(const StridedRows& x)
      : data(static_cast<const T*>(x.data)), rows(x.rows), n(x.n), inner(x.inner), outer_stride(x.outer_stride), inner_stride(x.inner_stride) {}
  __device__ const T* Row(int64_t row) const { return data + row / inner * outer_stride + row % inner * inner_stride; }
};

template <int kGroup>
__device__ inline int64_t RowOfGroup() {
  return static_cast<int64_t>(blockIdx.x) * (kThreads / kGroup) + threadIdx.x / kGroup;
}

/// Whether packs of kWide<T> fit the rows of x and what lies contiguous at the other addresses, which may be null.
template <typename T>
bool PacksFit(const StridedRows& x, std::initializer_list<const void*> others) {
  Alignment alignment(kWide<T>);
  alignment.Address(x.data).Count(x.n).Count(x.outer_stride).Count(x.inner_stride);
  for (const void* address : others) alignment.Address(address);
  return alignment.fits();
}

inline int64_t Ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};
/// Calls fn with the pack width and the group size that suit these rows, as Constants.
template <typename T, typename Fn>
void ForShape(bool wide, int64_t n, const Fn& fn) {
  const bool warp = n <= kWarpRow;
  if (wide && warp) return fn(Constant<kWide<T>>{}, Constant<kWarp>{});
  if (wide) return fn(Constant<kWide<T>>{}, Constant<kThreads>{});
  if (warp) return fn(Constant<1>{}, Constant<kWarp>{});
  return fn(Constant<1>{}, Constant<kThreads>{});
}

}  // namespace ft::kernels::cuda
