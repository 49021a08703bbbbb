#include "core/kernels/adamw_8bit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "core/kernels/adamw.h"
#include "core/kernels/dynamic_code.h"

namespace ft::kernels::composite {
namespace {

constexpr int64_t kPiece = 4096 * kDynamicBlock;  // parameters whose moments exist in fp32 at a time

at::Tensor ValuesOf(const DynamicCode& code, const at::Device& device) {
  return at::from_blob(const_cast<float*>(code.values().data()), {256}, at::kFloat).to(device, at::kFloat, false, /*copy=*/true);
}

// fp32 [blocks, kDynamicBlock] of n numbers, zeros behind them.
at::Tensor Blocked(const at::Tensor& x) {
  const int64_t n = x.numel(), blocks = (n + kDynamicBlock - 1) / kDynamicBlock;
  return at::constant_pad_nd(x, {0, blocks * kDynamicBlock - n}).view({blocks, kDynamicBlock});
}

at::Tensor Decode(const at::Tensor& values, const at::Tensor& codes, const at::Tensor& maxima) {
  const at::Tensor blocks = Blocked(values.index_select(0, codes.to(at::kInt))).mul(maxima.unsqueeze(1));
  return blocks.view({-1}).narrow(0, 0, codes.numel()).contiguous();
}

void Encode(const at::Tensor& values, const at::Tensor& x, at::Tensor codes, at::Tensor maxima) {
  const at::Tensor blocks = Blocked(x);
  const at::Tensor most = std::get<0>(blocks.abs().max(1)).clamp_max(static_cast<double>(std::numeric_limits<float>::max()));
  const at::Tensor scaled = blocks.div(most.clamp_min(static_cast<double>(std::numeric_limits<float>::denorm_min())).unsqueeze(1)).view({-1}).narrow(0, 0, x.numel());
  const at::Tensor midpoints = values.narrow(0, 0, 255).add(values.narrow(0, 1, 255)).mul_(0.5);
  at::Tensor nearest = at::bucketize(scaled.contiguous(), midpoints, /*out_int32=*/true);
  const at::Tensor keeps_sign = scaled.lt(0).logical_and(values.index_select(0, nearest).ge(0)).logical_and(nearest.gt(0));
  nearest = nearest - keeps_sign.to(at::kInt);
  codes.copy_(nearest);
  maxima.copy_(most);
}

}  // namespace

void AdamW8bit(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, Moments8bit& moments, const AdamWStep& step) {
  const at::Tensor first_values = ValuesOf(DynamicCode::Signed(), master.device()), second_values = ValuesOf(DynamicCode::Unsigned(), master.device());
  const bool shared = compute.is_same(master);
  for (int64_t begin = 0; begin < master.numel(); begin += kPiece) {
    const int64_t count = std::min(kPiece, master.numel() - begin), block = begin / kDynamicBlock, blocks = (count + kDynamicBlock - 1) / kDynamicBlock;
    const auto piece = [&](const at::Tensor& x) { return x.narrow(0, begin, count); };
    const auto maxima = [&](const at::Tensor& x) { return x.narrow(0, block, blocks); };
    at::Tensor m = Decode(first_values, piece(moments.exp_avg), maxima(moments.exp_avg_max));
    at::Tensor v = Decode(second_values, piece(moments.exp_avg_sq), maxima(moments.exp_avg_sq_max));
    at::Tensor part = piece(master), part_compute = shared ? part : piece(compute), part_grad = piece(grad);
    kernels::AdamW(part, shared ? part : part_compute, part_grad, m, v, step);
    Encode(first_values, m, piece(moments.exp_avg), maxima(moments.exp_avg_max));
    Encode(second_values, v, piece(moments.exp_avg_sq), maxima(moments.exp_avg_sq_max));
  }
}

}  // namespace ft::kernels::composite
