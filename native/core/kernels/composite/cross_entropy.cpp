#include "core/kernels/cross_entropy.h"

#include <ATen/ATen.h>

namespace ft::kernels::composite {

CrossEntropyRows CrossEntropy(at::Tensor& logits, const at::Tensor& targets, const CrossEntropyGradient* gradient) {
  const at::Tensor x = logits.to(at::kFloat), column = targets.unsqueeze(1);
  const at::Tensor lse = at::logsumexp(x, {1}, /*keepdim=*/true);
  CrossEntropyRows rows{(lse - x.gather(1, column)).squeeze(1), lse.squeeze(1)};
  if (gradient == nullptr) return rows;
  at::Tensor d = (x - lse).exp_();
  d.scatter_add_(1, column, at::full(column.sizes(), -1.0, d.options()));
  if (gradient->row_scale.defined()) d.mul_(gradient->row_scale.unsqueeze(1));
  logits.copy_(d.mul_(gradient->scale));
  return rows;
}

}  // namespace ft::kernels::composite
