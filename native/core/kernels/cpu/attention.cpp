// ATen's flash kernel (https://arxiv.org/abs/2205.14135) on runs of rows that are equally long. It takes grouped heads as they are.
#include "core/kernels/attention.h"

#include <ATen/ATen.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>

#include <optional>

#include "core/kernels/attention_runs.h"

namespace ft::kernels::cpu {
namespace {

// The kernel is causal by itself; only a window shorter than the row needs a mask.
std::optional<at::Tensor> MaskOf(const AttentionRun& run, int64_t window, const at::TensorOptions& options) {
  if (window <= 0 || window >= run.length) return std::nullopt;
  return WindowMask(run.length, window, options);
}

}  // namespace

AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options) {
  AttentionResult result;
  result.out = at::empty(q.sizes(), q.options());
  for (const AttentionRun& run : EqualRuns(offsets)) {
    const auto mask = MaskOf(run, options.window, q.options());
    const auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(run.Heads(q), run.Heads(k), run.Heads(v), 0.0, !mask.has_value(),
                                                                            mask, options.scale);
    run.Heads(result.out).copy_(out);
    result.saved.push_back(lse);
  }
  return result;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                                                 const at::Tensor& v, const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  at::Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options()), dv = at::empty(v.sizes(), v.options());
  size_t index = 0;
  for (const AttentionRun& run : EqualRuns(offsets)) {
    const auto mask = MaskOf(run, options.window, q.options());
    const auto [gq, gk, gv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        run.Heads(dout), run.Heads(q), run.Heads(k), run.Heads(v), run.Heads(forward.out), forward.saved.at(index++), 0.0, !mask.has_value(), mask,
        options.scale);
    run.Heads(dq).copy_(gq);
    run.Heads(dk).copy_(gk);
    run.Heads(dv).copy_(gv);
  }
  return {dq, dk, dv};
}

}  // namespace ft::kernels::cpu
