#include "core/kernels/norm.h"

#include <ATen/ATen.h>

namespace ft::kernels::composite {

std::tuple<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor rstd = x.to(at::kFloat).square().mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();
  return {RmsNormApply(x, rstd, weight), rstd};
}

at::Tensor RmsNormApply(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight) {
  return (x.to(at::kFloat) * rstd).mul_(weight.to(at::kFloat)).to(x.scalar_type());
}

at::Tensor RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight,
                           at::Tensor weight_grad, at::Tensor* y) {
  const at::Tensor normalized = x.to(at::kFloat) * rstd;
  const at::Tensor dy32 = dy.to(at::kFloat);
  if (weight_grad.defined()) {
    weight_grad.add_((dy32 * normalized).reshape({-1, weight.numel()}).sum(0).to(weight_grad.scalar_type()));
  }
  if (y != nullptr) *y = RmsNormApply(x, rstd, weight);
  at::Tensor dx = dy32 * weight.to(at::kFloat);  // d normalized
  const at::Tensor projection = (dx * normalized).mean(-1, /*keepdim=*/true);
  return dx.sub_(normalized * projection).mul_(rstd).to(x.scalar_type());
}

}  // namespace ft::kernels::composite
