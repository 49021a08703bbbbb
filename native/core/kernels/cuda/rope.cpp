#include <ATen/ATen.h>

#include "core/kernels/cuda/ops.h"
#include "core/kernels/cuda/rotate.h"
#include "core/kernels/cuda/tensors.h"

namespace ft::kernels::cuda {

at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse) {
  FT_CHECK(x.dim() == 3 && cos.dim() == 2 && 2 * cos.size(1) <= x.size(2), kInternal, "a rotation of {} by {}", c10::str(x.sizes()), c10::str(cos.sizes()));
  CheckShape(cos, {x.size(0), cos.size(1)}, "cos");
  CheckShape(sin, cos.sizes(), "sin");
  CheckBeside(x, cos, at::kFloat, "cos");
  CheckBeside(x, sin, at::kFloat, "sin");
  CheckBlocks(x.size(0));
  CheckBlocks(x.size(1) * x.size(2));  // an item's index inside a token
  const at::Tensor in = x.stride(2) == 1 ? x : x.contiguous(), c = cos.contiguous(), s = sin.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  LaunchOn(x, [&](Stream stream) {
    LaunchRotate(ElementOf(x), {in.const_data_ptr(), in.stride(0), in.stride(1), y.mutable_data_ptr(), c.const_data_ptr<float>(), s.const_data_ptr<float>(),
                                x.size(0), x.size(1), c.size(1), x.size(2), inverse}, stream);
  });
  return y;
}

}  // namespace ft::kernels::cuda
