#include "core/kernels/cuda/dropout.h"

#include <ATen/ATen.h>

#include "core/kernels/cuda/ops.h"
#include "core/kernels/cuda/tensors.h"

namespace ft::kernels::cuda {

at::Tensor Dropout(const at::Tensor& x, double p, const DropoutKey& key, const at::Tensor& row_keys, const at::Tensor& positions) {
  FT_CHECK(x.dim() == 2 && p >= 0 && p < 1, kInternal, "dropout with p = {} of shape {}", p, c10::str(x.sizes()));
  for (const at::Tensor* keys : {&row_keys, &positions}) {
    CheckBeside(x, *keys, at::kLong, "a dropout key");
    CheckShape(*keys, {x.size(0)}, "a dropout key");
  }
  CheckBlocks(x.size(0));
  const at::Tensor in = x.contiguous(), rows = row_keys.contiguous(), places = positions.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  LaunchOn(x, [&](Stream stream) {
    LaunchDropout(ElementOf(x), {in.const_data_ptr(), y.mutable_data_ptr(), x.size(0), x.size(1), rows.const_data_ptr<int64_t>(), places.const_data_ptr<int64_t>(),
                                 MixKey(key.seed, key.step), key.site, static_cast<uint64_t>(p * 4294967296.0), static_cast<float>(1.0 / (1.0 - p))}, stream);
  });
  return y;
}

}  // namespace ft::kernels::cuda
