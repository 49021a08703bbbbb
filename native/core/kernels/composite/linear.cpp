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
  const ProductTerm& main = terms.front();
  const at::Tensor y = at::empty({main.x.size(0), main.by_rows ? main.columns_of_w() : main.rows_of_w()}, main.x.options());
  composite::SumOfProductsInto(y, terms, bias, residual);
  return y;
}

void SumOfProductsInto(const at::Tensor& out, const std::vector<ProductTerm>& terms, const at::Tensor& bias, const at::Tensor& residual) {
  at::Tensor y = out;
  bool first = true;
  for (const ProductTerm& term : terms) {
    if (term.source != nullptr && !term.by_rows) {
      if (at::Tensor product = FewRows(*term.source, term.x); product.defined()) {
        if (first && bias.defined()) product.add_(bias);
        first ? y.copy_(product) : y.add_(product);
        first = false;
        continue;
      }
    }
    const at::Tensor w = term.source != nullptr ? term.source->Dense(term.x.scalar_type()) : term.w;
    const at::Tensor right = term.by_rows ? w : w.t();
    if (!first) {
      y.addmm_(term.x, right);
    } else if (bias.defined()) {
      at::addmm_out(y, bias, term.x, right);
    } else {
      at::mm_out(y, term.x, right);
    }
    first = false;
  }
  if (residual.defined()) y.add_(residual);
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
