#include "core/kernels/linear.h"

#include <ATen/ATen.h>

namespace ft::kernels {

at::Tensor WeightSource::Dense(at::ScalarType dtype) const {
  at::Tensor w = at::empty({rows(), columns()}, at::TensorOptions(dtype).device(device()));
  ReadAll(w);
  return w;
}

namespace composite {

at::Tensor SumOfProducts(const std::vector<ProductTerm>& terms, const at::Tensor& bias, const at::Tensor& residual) {
  at::Tensor y;
  for (const ProductTerm& term : terms) {
    const bool first = !y.defined();
    if (term.source != nullptr && !term.by_rows) {
      if (at::Tensor product = FewRows(*term.source, term.x); product.defined()) {
        y = first ? (bias.defined() ? product.add_(bias) : product) : y.add_(product);
        continue;
      }
    }
    const at::Tensor w = term.source != nullptr ? term.source->Dense(term.x.scalar_type()) : term.w;
    const at::Tensor right = term.by_rows ? w : w.t();
    if (!first) {
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

}  // namespace composite
}  // namespace ft::kernels
