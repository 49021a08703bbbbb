#include "core/nn/alibi.h"

#include <ATen/ATen.h>

namespace ft {

at::Tensor AlibiTable(const AlibiSpec& spec, int64_t positions, at::Device device) {
  const auto heads = static_cast<int64_t>(spec.slopes.size());
  at::Tensor slopes = at::from_blob(const_cast<float*>(spec.slopes.data()), {heads, 1}, at::kFloat).clone();
  if (spec.in_bf16) slopes = slopes.to(at::kBFloat16);
  const at::Tensor table = (slopes * at::arange(positions, at::kLong)).to(at::kFloat);
  return (spec.scale == 1.0 ? table : table * spec.scale).to(device);
}

}  // namespace ft
