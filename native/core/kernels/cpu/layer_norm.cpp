#include "core/kernels/layer_norm.h"

#include <ATen/ATen.h>

#include "core/base/error.h"
#include "core/kernels/cpu/row_ops_tensor.h"
#include "core/kernels/cpu/rows.h"
#include "core/kernels/cuda/ops.h"

namespace ft::kernels {
namespace {

// The parameter, or what stands for one that is not there.
at::Tensor ParameterOr(const at::Tensor& given, double otherwise, const at::Tensor& x) {
  if (!given.defined()) return at::full({x.size(-1)}, otherwise, x.options());
  FT_CHECK(given.scalar_type() == x.scalar_type() && given.dim() == 1 && given.size(0) == x.size(-1), kInternal,
           "a norm's parameter is {} {}, expected {} [{}]", c10::toString(given.scalar_type()), c10::str(given.sizes()), c10::toString(x.scalar_type()),
           x.size(-1));
  return given.contiguous();
}

}  // namespace

LayerNormOutput LayerNorm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(x)) return cuda::LayerNorm(x, weight, bias, eps);
  }
  if (!cpu::HasRowOps(x)) return composite::LayerNorm(x, weight, bias, eps);
  const cpu::Rows rows(x);
  const at::Tensor w = ParameterOr(weight, 1.0, x), b = ParameterOr(bias, 0.0, x);
  at::Tensor y = at::empty(x.sizes(), x.options()), mean = at::empty(cpu::RowShape(x), x.options().dtype(at::kFloat)), rstd = at::empty_like(mean);
  auto *means = cpu::Out<float>(mean), *scales = cpu::Out<float>(rstd);
  cpu::ForElementType(x, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    cpu::ForOuter(rows, [&](int64_t o) {
      const T* data = cpu::In<T>(rows.kept) + o * rows.outer_stride;
      float *m = means + o * rows.inner, *s = scales + o * rows.inner;
      ops.layer_statistics(data, rows.inner_stride, rows.inner, rows.n, static_cast<float>(eps), m, s);
      ops.layer_apply(data, rows.inner_stride, m, s, cpu::In<T>(w), cpu::In<T>(b), rows.inner, rows.n, cpu::Out<T>(y) + o * rows.inner * rows.n);
    });
  });
  return {y, mean, rstd};
}

at::Tensor LayerNormApply(const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight, const at::Tensor& bias) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(x)) return cuda::LayerNormApply(x, mean, rstd, weight, bias);
  }
  if (!cpu::HasRowOps(x)) return composite::LayerNormApply(x, mean, rstd, weight, bias);
  const cpu::Rows rows(x);
  const at::Tensor w = ParameterOr(weight, 1.0, x), b = ParameterOr(bias, 0.0, x);
  at::Tensor y = at::empty(x.sizes(), x.options());
  cpu::ForElementType(x, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    cpu::ForOuter(rows, [&](int64_t o) {
      ops.layer_apply(cpu::In<T>(rows.kept) + o * rows.outer_stride, rows.inner_stride, cpu::In<float>(mean) + o * rows.inner,
                      cpu::In<float>(rstd) + o * rows.inner, cpu::In<T>(w), cpu::In<T>(b), rows.inner, rows.n, cpu::Out<T>(y) + o * rows.inner * rows.n);
    });
  });
  return y;
}

at::Tensor LayerNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight,
                             at::Tensor weight_grad, at::Tensor bias_grad) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(x)) return cuda::LayerNormBackward(dy, x, mean, rstd, weight, weight_grad, bias_grad);
  }
  if (!cpu::HasRowOps(x)) return composite::LayerNormBackward(dy, x, mean, rstd, weight, weight_grad, bias_grad);
  const cpu::Rows rows(x), grads(dy.contiguous());
  const at::Tensor w = ParameterOr(weight, 1.0, x);
  at::Tensor dx = at::empty(x.sizes(), x.options());
  const bool sums = weight_grad.defined() || bias_grad.defined();
  at::Tensor dw = sums ? at::zeros({rows.Blocks(), rows.n}, rstd.options()) : at::Tensor(), db = sums ? at::zeros_like(dw) : at::Tensor();
  cpu::ForElementType(x, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    cpu::ForOuterInBlocks(rows, [&](int64_t o, int64_t block) {
      ops.layer_backward(cpu::In<T>(grads.kept) + o * grads.outer_stride, grads.inner_stride, cpu::In<T>(rows.kept) + o * rows.outer_stride,
                         rows.inner_stride, cpu::In<float>(mean) + o * rows.inner, cpu::In<float>(rstd) + o * rows.inner, cpu::In<T>(w), rows.inner,
                         rows.n, cpu::Out<T>(dx) + o * rows.inner * rows.n, sums ? cpu::Out<float>(dw) + block * rows.n : nullptr,
                         sums ? cpu::Out<float>(db) + block * rows.n : nullptr);
    });
  });
  if (weight_grad.defined()) weight_grad.add_(dw.sum(0).to(weight_grad.scalar_type()));
  if (bias_grad.defined()) bias_grad.add_(db.sum(0).to(bias_grad.scalar_type()));
  return dx;
}

}  // namespace ft::kernels
