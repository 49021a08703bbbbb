#include "core/kernels/linear.h"

#include <ATen/ATen.h>

namespace ft::kernels::composite {

at::Tensor SumOfProducts(const std::vector<ProductTerm>& terms, const at::Tensor& bias, const at::Tensor& residual) {
  at::Tensor y;
  for (const ProductTerm& term : terms) {
    const at::Tensor right = term.by_rows ? term.w : term.w.t();
    if (y.defined()) {
      y.addmm_(term.x, right);
    } else {
      y = bias.defined() ? at::addmm(bias, term.x, right) : at::mm(term.x, right);
    }
  }
  if (residual.defined()) y.add_(residual);
  return y;
}

void AddOuterProduct(at::Tensor& grad, const at::Tensor& dy, const at::Tensor& x, double scale) {
  if (grad.scalar_type() == x.scalar_type()) {
    grad.addmm_(dy.t(), x, 1.0, scale);
  } else {
    grad.add_(at::mm(dy.t(), x), scale);
  }
}

}  // namespace ft::kernels::composite
