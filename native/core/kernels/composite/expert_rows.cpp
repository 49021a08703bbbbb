#include "core/kernels/expert_rows.h"

#include <ATen/ATen.h>

namespace ft::kernels::composite {

at::Tensor SumOfRows(const at::Tensor& rows, const at::Tensor& position, const at::Tensor& addend) {
  const int64_t tokens = position.size(0), k = position.size(1);
  at::Tensor sum = rows.index_select(0, position.reshape({-1})).view({tokens, k, rows.size(1)}).sum(1, false, at::kFloat);
  if (addend.defined()) sum.add_(addend);
  return sum.to(rows.scalar_type());
}

at::Tensor RowDots(const at::Tensor& a, const at::Tensor& b) { return a.to(at::kFloat).mul(b.to(at::kFloat)).sum(1); }

}  // namespace ft::kernels::composite
