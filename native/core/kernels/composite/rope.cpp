#include "core/kernels/rope.h"

#include <ATen/ATen.h>

namespace ft::kernels {

at::Tensor RotatePairs(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse) {
  const int64_t half = cos.size(1), rest = x.size(-1) - 2 * half;
  const auto pairs = [&](const at::Tensor& t) { return t.narrow(-1, 0, 2 * half).unflatten(-1, {half, 2}); };  // [tokens, heads, half, 2]
  const at::Tensor c = cos.unsqueeze(1), s = inverse ? sin.unsqueeze(1).neg() : sin.unsqueeze(1);                // [tokens, 1, half]
  const at::Tensor in = pairs(x).to(at::kFloat), a = in.select(-1, 0), b = in.select(-1, 1);
  at::Tensor y = at::empty(x.sizes(), x.options()), out = pairs(y);
  out.select(-1, 0).copy_(a * c - b * s);
  out.select(-1, 1).copy_(b * c + a * s);
  if (rest > 0) y.narrow(-1, 2 * half, rest).copy_(x.narrow(-1, 2 * half, rest));
  return y;
}

namespace composite {

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

}  // namespace composite

}  // namespace ft::kernels
