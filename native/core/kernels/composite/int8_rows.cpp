#include "core/kernels/int8_rows.h"

#include <ATen/ATen.h>

namespace ft::kernels::composite {

at::Tensor RoundToInt8Rows(const at::Tensor& x, double threshold) {
  const at::Tensor values = x.to(at::kFloat), sizes = values.abs();
  const at::Tensor outliers = threshold > 0 ? sizes >= threshold : at::zeros_like(sizes, at::kBool);
  const at::Tensor largest = sizes.masked_fill(outliers, 0.0).amax(1, /*keepdim=*/true);
  const at::Tensor rounded = values.mul(at::where(largest > 0, 127.0f / largest, 0.0f)).round_().mul_(largest / 127.0f);
  return at::where(outliers.any(0, /*keepdim=*/true), values, rounded).to(x.scalar_type());
}

}  // namespace ft::kernels::composite
