#include "core/kernels/rope.h"

#include <ATen/ATen.h>

namespace ft::kernels::composite {

at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse) {
  const int64_t half = cos.size(1);
  const at::Tensor c = cos.unsqueeze(1);  // [tokens, 1, half]
  const at::Tensor s = inverse ? sin.unsqueeze(1).neg() : sin.unsqueeze(1);
  const at::Tensor a = x.narrow(-1, 0, half).to(at::kFloat);
  const at::Tensor b = x.narrow(-1, half, half).to(at::kFloat);
  at::Tensor y = at::empty(x.sizes(), x.options());
  y.narrow(-1, 0, half).copy_(a * c - b * s);
  y.narrow(-1, half, half).copy_(b * c + a * s);
  const int64_t rest = x.size(-1) - 2 * half;
  if (rest > 0) y.narrow(-1, 2 * half, rest).copy_(x.narrow(-1, 2 * half, rest));
  return y;
}

}  // namespace ft::kernels::composite
