#include "core/nn/norm.h"

#include "core/kernels/norm.h"

namespace ft {

at::Tensor NormWeight::Apply(const at::Tensor& u, at::Tensor& aux) const {
  auto [y, rstd] = kernels::RmsNorm(u, weight, eps);
  aux = rstd;
  return y;
}

at::Tensor NormWeight::Again(const at::Tensor& u, const at::Tensor& aux) const {
  return kernels::RmsNormApply(u, aux, weight);
}

at::Tensor NormWeight::Backward(const at::Tensor& dx, const at::Tensor& u, const at::Tensor& aux, at::Tensor* x) const {
  return kernels::RmsNormBackward(dx, u, aux, weight, grad, x);
}

}  // namespace ft
