#include "core/kernels/adamw_8bit.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/kernels/cpu/row_ops_tensor.h"
#include "core/kernels/dynamic_code.h"

namespace ft::kernels {
namespace {

constexpr int64_t kBlocksOfTask = 64;

void CheckMoments(const at::Tensor& master, const Moments8bit& moments) {
  const int64_t blocks = (master.numel() + kDynamicBlock - 1) / kDynamicBlock;
  for (const at::Tensor* codes : {&moments.exp_avg, &moments.exp_avg_sq}) {
    FT_CHECK(codes->scalar_type() == at::kByte && codes->numel() == master.numel() && codes->is_contiguous(), kInternal, "8-bit moments do not fit {} parameters",
             master.numel());
  }
  for (const at::Tensor* maxima : {&moments.exp_avg_max, &moments.exp_avg_sq_max}) {
    FT_CHECK(maxima->scalar_type() == at::kFloat && maxima->numel() == blocks && maxima->is_contiguous(), kInternal, "maxima of 8-bit moments do not fit {} blocks",
             blocks);
  }
}

}  // namespace

void AdamW8bit(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, Moments8bit& moments, const AdamWStep& step) {
  CheckMoments(master, moments);
  const bool shared = compute.is_same(master);
  if (!cpu::HasRowOps(grad) || !(shared || compute.scalar_type() == at::kBFloat16)) return composite::AdamW8bit(master, compute, grad, moments, step);
  const AdamWFactors factors = FactorsOf(step);
  const DynamicCode &first_code = DynamicCode::Signed(), &second_code = DynamicCode::Unsigned();
  const int64_t n = master.numel(), blocks = moments.exp_avg_max.numel();
  cpu::ForElementType(grad, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    auto* parameter = cpu::Out<float>(master);
    auto* rounded = shared ? nullptr : cpu::Out<cpu::Bf16>(compute);
    T* gradient = cpu::Out<T>(grad);
    auto *first = cpu::Out<uint8_t>(moments.exp_avg), *second = cpu::Out<uint8_t>(moments.exp_avg_sq);
    auto *first_max = cpu::Out<float>(moments.exp_avg_max), *second_max = cpu::Out<float>(moments.exp_avg_sq_max);
    at::parallel_for(0, blocks, kBlocksOfTask, [&](int64_t begin, int64_t end) {
      alignas(64) float m[kDynamicBlock], v[kDynamicBlock];
      for (int64_t block = begin; block < end; ++block) {
        const int64_t at = block * kDynamicBlock, count = std::min(kDynamicBlock, n - at);
        first_code.DecodeBlock(first + at, first_max[block], count, m);
        second_code.DecodeBlock(second + at, second_max[block], count, v);
        ops.adamw(parameter + at, rounded == nullptr ? nullptr : rounded + at, gradient + at, m, v, count, factors);
        first_max[block] = first_code.EncodeBlock(m, count, first + at);
        second_max[block] = second_code.EncodeBlock(v, count, second + at);
      }
    });
  });
}

}  // namespace ft::kernels
