#include "core/kernels/norm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "core/kernels/cpu/row_ops_tensor.h"
#include "core/kernels/cuda/ops.h"

namespace ft::kernels {
namespace {

// A view [rows, n] of x: [..., n] with one stride between rows, as q and k have inside a fused product.
struct Rows {
  at::Tensor kept;  // keeps a copy alive where the layout called for one
  int64_t rows, n;
  // Rows come in `outer` groups of `inner`; strides in elements.
  int64_t inner, outer_stride, inner_stride;

  explicit Rows(const at::Tensor& x) : kept(x), n(x.size(-1)) {
    const bool three = x.dim() == 3 && x.stride(2) == 1;
    const bool two = x.dim() == 2 && x.stride(1) == 1;
    if (!three && !two) kept = x.contiguous().view({-1, n});
    rows = kept.numel() / n;
    inner = kept.dim() == 3 ? kept.size(1) : 1;
    outer_stride = kept.stride(0);
    inner_stride = kept.dim() == 3 ? kept.stride(1) : 0;
  }
};

template <typename Body>  // body(outer index)
void ForOuter(const Rows& x, const Body& body) {
  const int64_t outer = x.rows / x.inner;
  at::parallel_for(0, outer, cpu::RowGrain(x.n * x.inner), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) body(o);
  });
}

std::vector<int64_t> RstdShape(const at::Tensor& x) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = 1;
  return shape;
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(x)) return cuda::RmsNorm(x, weight, eps);
  }
  if (!cpu::HasRowOps(x)) return composite::RmsNorm(x, weight, eps);
  const Rows rows(x);
  at::Tensor rstd = at::empty(RstdShape(x), x.options().dtype(at::kFloat));
  float* out = cpu::Out<float>(rstd);
  cpu::ForElementType(x, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    const T* data = cpu::In<T>(rows.kept);
    ForOuter(rows, [&](int64_t o) {
      ops.rms_rstd(data + o * rows.outer_stride, rows.inner_stride, rows.inner, rows.n, static_cast<float>(eps), out + o * rows.inner);
    });
  });
  return {RmsNormApply(x, rstd, weight), rstd};
}

at::Tensor RmsNormApply(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(x)) return cuda::RmsNormApply(x, rstd, weight);
  }
  if (!cpu::HasRowOps(x)) return composite::RmsNormApply(x, rstd, weight);
  const Rows rows(x);
  at::Tensor y = at::empty(x.sizes(), x.options());
  cpu::ForElementType(x, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    const T* data = cpu::In<T>(rows.kept);
    const T* w = cpu::In<T>(weight);
    const float* scale = cpu::In<float>(rstd);
    T* out = cpu::Out<T>(y);
    ForOuter(rows, [&](int64_t o) {
      ops.rms_apply(data + o * rows.outer_stride, rows.inner_stride, scale + o * rows.inner, w, rows.inner, rows.n, out + o * rows.inner * rows.n);
    });
  });
  return y;
}

at::Tensor RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight, at::Tensor weight_grad,
                           at::Tensor* y) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(x)) return cuda::RmsNormBackward(dy, x, rstd, weight, weight_grad, y);
  }
  if (!cpu::HasRowOps(x)) return composite::RmsNormBackward(dy, x, rstd, weight, weight_grad, y);
  const Rows rows(x), grads(dy.contiguous());
  at::Tensor dx = at::empty(x.sizes(), x.options());
  if (y != nullptr) *y = at::empty(x.sizes(), x.options());
  // d weight: one partial sum for every block of rows, added up in order, so that threads do not change the result.
  constexpr int64_t kBlock = 128;
  const int64_t outer = rows.rows / rows.inner, blocks = (outer + kBlock - 1) / kBlock;
  at::Tensor partial = weight_grad.defined() ? at::zeros({blocks, rows.n}, rstd.options()) : at::Tensor();
  cpu::ForElementType(x, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    const T* data = cpu::In<T>(rows.kept);
    const T* grad = cpu::In<T>(grads.kept);
    const T* w = cpu::In<T>(weight);
    const float* scale = cpu::In<float>(rstd);
    T* out = cpu::Out<T>(dx);
    T* again = y == nullptr ? nullptr : cpu::Out<T>(*y);
    float* sums = partial.defined() ? cpu::Out<float>(partial) : nullptr;
    at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        float* dw = sums == nullptr ? nullptr : sums + block * rows.n;
        for (int64_t o = block * kBlock; o < std::min(outer, (block + 1) * kBlock); ++o) {
          ops.rms_backward(grad + o * grads.outer_stride, grads.inner_stride, data + o * rows.outer_stride, rows.inner_stride,
                           scale + o * rows.inner, w, rows.inner, rows.n, out + o * rows.inner * rows.n, dw,
                           again == nullptr ? nullptr : again + o * rows.inner * rows.n);
        }
      }
    });
  });
  if (weight_grad.defined()) weight_grad.add_(partial.sum(0).to(weight_grad.scalar_type()));
  return dx;
}

}  // namespace ft::kernels
