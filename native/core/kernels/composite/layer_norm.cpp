#include "core/kernels/layer_norm.h"

#include <ATen/ATen.h>

namespace ft::kernels::composite {
namespace {

void AddSum(at::Tensor& grad, const at::Tensor& terms) {
  if (grad.defined()) grad.add_(terms.reshape({terms.numel() / terms.size(-1), terms.size(-1)}).sum(0).to(grad.scalar_type()));
}

}  // namespace

LayerNormOutput LayerNorm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  const at::Tensor x32 = x.to(at::kFloat), mean = x32.mean(-1, /*keepdim=*/true);
  const at::Tensor rstd = (x32 - mean).square_().mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();
  return {LayerNormApply(x, mean, rstd, weight, bias), mean, rstd};
}

at::Tensor LayerNormApply(const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight, const at::Tensor& bias) {
  at::Tensor y = (x.to(at::kFloat) - mean).mul_(rstd);
  if (weight.defined()) y.mul_(weight.to(at::kFloat));
  if (bias.defined()) y.add_(bias.to(at::kFloat));
  return y.to(x.scalar_type());
}

at::Tensor LayerNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight,
                             at::Tensor weight_grad, at::Tensor bias_grad) {
  const at::Tensor normalized = (x.to(at::kFloat) - mean).mul_(rstd), dy32 = dy.to(at::kFloat);
  if (weight_grad.defined()) AddSum(weight_grad, dy32 * normalized);
  AddSum(bias_grad, dy32);
  const at::Tensor d = weight.defined() ? dy32 * weight.to(at::kFloat) : dy32;  // d normalized
  const at::Tensor projection = (d * normalized).mean(-1, /*keepdim=*/true);
  return (d - d.mean(-1, /*keepdim=*/true)).sub_(normalized * projection).mul_(rstd).to(x.scalar_type());
}

}  // namespace ft::kernels::composite
