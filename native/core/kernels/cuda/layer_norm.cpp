#include "core/kernels/cuda/layer_norm.h"

#include <ATen/ATen.h>

#include "core/kernels/cuda/ops.h"
#include "core/kernels/cuda/row_tensors.h"

namespace ft::kernels::cuda {
namespace {

const void* DataOrNull(const at::Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; }

// Only read, where they are given.
float* Floats(const at::Tensor& x) { return const_cast<float*>(x.const_data_ptr<float>()); }

}  // namespace

LayerNormOutput LayerNorm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  const Rows rows(x);
  const at::Tensor w = RowParameter(x, weight), b = RowParameter(x, bias);
  at::Tensor y = at::empty(x.sizes(), x.options()), mean = at::empty(RowShape(x), x.options().dtype(at::kFloat)), rstd = at::empty_like(mean);
  LaunchOn(x, [&](Stream stream) {
    LaunchLayerNorm(ElementOf(x), rows.view, {DataOrNull(w), DataOrNull(b), mean.mutable_data_ptr<float>(), rstd.mutable_data_ptr<float>()},
                    static_cast<float>(eps), y.mutable_data_ptr(), stream);
  });
  return {y, mean, rstd};
}

at::Tensor LayerNormApply(const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight, const at::Tensor& bias) {
  const Rows rows(x);
  const at::Tensor w = RowParameter(x, weight), b = RowParameter(x, bias), middle = RowValues(x, mean), scale = RowValues(x, rstd);
  at::Tensor y = at::empty(x.sizes(), x.options());
  LaunchOn(x, [&](Stream stream) {
    LaunchLayerNormApply(ElementOf(x), rows.view, {DataOrNull(w), DataOrNull(b), Floats(middle), Floats(scale)}, y.mutable_data_ptr(), stream);
  });
  return y;
}

at::Tensor LayerNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight,
                             at::Tensor weight_grad, at::Tensor bias_grad) {
  const Rows rows(x);
  CheckBeside(x, dy, x.scalar_type(), "a norm's gradient");
  CheckShape(dy, x.sizes(), "a norm's gradient");
  const at::Tensor w = RowParameter(x, weight), middle = RowValues(x, mean), scale = RowValues(x, rstd), grad = dy.contiguous();
  const LayerNormArguments arguments{DataOrNull(w), nullptr, Floats(middle), Floats(scale)};
  at::Tensor dx = at::empty(x.sizes(), x.options());
  LaunchOn(x, [&](Stream stream) { LaunchLayerNormBackward(ElementOf(x), grad.const_data_ptr(), rows.view, arguments, dx.mutable_data_ptr(), stream); });
  if ((!weight_grad.defined() && !bias_grad.defined()) || rows.view.rows == 0) return dx;
  at::Tensor dw = at::empty({RowPartials(rows.view.rows), rows.view.n}, scale.options()), db = at::empty_like(dw);
  LaunchOn(x, [&](Stream stream) {
    LaunchLayerNormParameterGradients(ElementOf(x), grad.const_data_ptr(), rows.view, arguments, dw.mutable_data_ptr<float>(),
                                      db.mutable_data_ptr<float>(), stream);
  });
  if (weight_grad.defined()) weight_grad.add_(dw.sum(0).to(weight_grad.scalar_type()));
  if (bias_grad.defined()) bias_grad.add_(db.sum(0).to(bias_grad.scalar_type()));
  return dx;
}

}  // namespace ft::kernels::cuda
