#include "core/kernels/norm.h"

#include <ATen/ATen.h>

#include "core/kernels/cpu/row_ops_tensor.h"
#include "core/kernels/cpu/rows.h"
#include "core/kernels/cuda/ops.h"

namespace ft::kernels {

std::tuple<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(x)) return cuda::RmsNorm(x, weight, eps);
  }
  if (!cpu::HasRowOps(x)) return composite::RmsNorm(x, weight, eps);
  const cpu::Rows rows(x);
  at::Tensor rstd = at::empty(cpu::RowShape(x), x.options().dtype(at::kFloat));
  float* out = cpu::Out<float>(rstd);
  cpu::ForElementType(x, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    const T* data = cpu::In<T>(rows.kept);
    cpu::ForOuter(rows, [&](int64_t o) {
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
  const cpu::Rows rows(x);
  at::Tensor y = at::empty(x.sizes(), x.options());
  cpu::ForElementType(x, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    const T* data = cpu::In<T>(rows.kept);
    const T* w = cpu::In<T>(weight);
    const float* scale = cpu::In<float>(rstd);
    T* out = cpu::Out<T>(y);
    cpu::ForOuter(rows, [&](int64_t o) {
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
  const cpu::Rows rows(x), grads(dy.contiguous());
  at::Tensor dx = at::empty(x.sizes(), x.options());
  if (y != nullptr) *y = at::empty(x.sizes(), x.options());
  at::Tensor partial = weight_grad.defined() ? at::zeros({rows.Blocks(), rows.n}, rstd.options()) : at::Tensor();
  cpu::ForElementType(x, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    const T* data = cpu::In<T>(rows.kept);
    const T* grad = cpu::In<T>(grads.kept);
    const T* w = cpu::In<T>(weight);
    const float* scale = cpu::In<float>(rstd);
    T* out = cpu::Out<T>(dx);
    T* again = y == nullptr ? nullptr : cpu::Out<T>(*y);
    float* sums = partial.defined() ? cpu::Out<float>(partial) : nullptr;
    cpu::ForOuterInBlocks(rows, [&](int64_t o, int64_t block) {
      ops.rms_backward(grad + o * grads.outer_stride, grads.inner_stride, data + o * rows.outer_stride, rows.inner_stride, scale + o * rows.inner, w,
                       rows.inner, rows.n, out + o * rows.inner * rows.n, sums == nullptr ? nullptr : sums + block * rows.n,
                       again == nullptr ? nullptr : again + o * rows.inner * rows.n);
    });
  });
  if (weight_grad.defined()) weight_grad.add_(partial.sum(0).to(weight_grad.scalar_type()));
  return dx;
}

}  // namespace ft::kernels
