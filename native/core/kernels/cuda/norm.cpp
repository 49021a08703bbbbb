#include <ATen/ATen.h>

#include "core/kernels/cuda/ops.h"
#include "core/kernels/cuda/rms_norm.h"
#include "core/kernels/cuda/row_tensors.h"

namespace ft::kernels::cuda {

std::tuple<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const Rows rows(x);
  const at::Tensor w = RowParameter(x, weight);
  at::Tensor y = at::empty(x.sizes(), x.options()), rstd = at::empty(RowShape(x), x.options().dtype(at::kFloat));
  LaunchOn(x, [&](Stream stream) {
    LaunchRmsNorm(ElementOf(x), rows.view, w.const_data_ptr(), static_cast<float>(eps), y.mutable_data_ptr(), rstd.mutable_data_ptr<float>(), stream);
  });
  return {y, rstd};
}

at::Tensor RmsNormApply(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight) {
  const Rows rows(x);
  const at::Tensor w = RowParameter(x, weight), scale = RowValues(x, rstd);
  at::Tensor y = at::empty(x.sizes(), x.options());
  LaunchOn(x, [&](Stream stream) {
    LaunchRmsNormApply(ElementOf(x), rows.view, w.const_data_ptr(), scale.const_data_ptr<float>(), y.mutable_data_ptr(), stream);
  });
  return y;
}

at::Tensor RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight, at::Tensor weight_grad,
                           at::Tensor* y) {
  const Rows rows(x);
  CheckBeside(x, dy, x.scalar_type(), "a norm's gradient");
  CheckShape(dy, x.sizes(), "a norm's gradient");
  const at::Tensor w = RowParameter(x, weight), scale = RowValues(x, rstd), grad = dy.contiguous();
  at::Tensor dx = at::empty(x.sizes(), x.options());
  if (y != nullptr) *y = at::empty(x.sizes(), x.options());
  LaunchOn(x, [&](Stream stream) {
    LaunchRmsNormBackward(ElementOf(x), grad.const_data_ptr(), rows.view, w.const_data_ptr(), scale.const_data_ptr<float>(), dx.mutable_data_ptr(),
                          y == nullptr ? nullptr : y->mutable_data_ptr(), stream);
  });
  if (!weight_grad.defined() || rows.view.rows == 0) return dx;
  at::Tensor partials = at::empty({RowPartials(rows.view.rows), rows.view.n}, scale.options());
  LaunchOn(x, [&](Stream stream) {
    LaunchRmsNormWeightGradient(ElementOf(x), grad.const_data_ptr(), rows.view, scale.const_data_ptr<float>(), partials.mutable_data_ptr<float>(), stream);
  });
  weight_grad.add_(partials.sum(0).to(weight_grad.scalar_type()));
  return dx;
}

}  // namespace ft::kernels::cuda
