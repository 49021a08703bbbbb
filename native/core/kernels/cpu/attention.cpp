// ATen's flash kernel (https://arxiv.org/abs/2205.14135) on runs of rows that are equally long. It takes grouped heads as they are.
#include "core/kernels/attention.h"

#include <ATen/ATen.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>

#include <optional>
#include <utility>

#include "core/kernels/attention_runs.h"

namespace ft::kernels::cpu {
namespace {

// The kernel is causal by itself; only a window shorter than the row needs a mask.
std::optional<at::Tensor> MaskOf(const AttentionRun& run, int64_t window, const at::TensorOptions& options) {
  if (window <= 0 || window >= run.length) return std::nullopt;
  return WindowMask(run.length, window, options);
}

// A bias of keys as more dimensions of the heads: scale · (q · k + 1 · bias / scale), with the bias of a bf16 key in three pieces
// that keep its fp32 bits. Values get dimensions of zeros, because the kernel wants one size for all.
struct Biased {
  at::Tensor q, k, v;
  int64_t pieces;

  Biased(const at::Tensor& q_in, const at::Tensor& k_in, const at::Tensor& v_in, const std::vector<int64_t>& offsets, const AttentionOptions& options)
      : pieces(q_in.scalar_type() == at::kFloat ? 1 : 3) {
    std::vector<at::Tensor> columns = {k_in};
    at::Tensor rest = ByToken(options.key_bias, offsets).div_(options.scale).unsqueeze(-1);  // fp32 [tokens, heads, 1]
    for (int64_t i = 0; i < pieces; ++i) {
      columns.push_back(rest.to(k_in.scalar_type()));
      rest = rest - columns.back();
    }
    k = at::cat(columns, -1);
    q = at::cat({q_in, at::ones({q_in.size(0), q_in.size(1), pieces}, q_in.options())}, -1);
    v = Wide(v_in);
  }
  at::Tensor Wide(const at::Tensor& x) const { return at::constant_pad_nd(x, {0, pieces}); }
  at::Tensor Narrow(const at::Tensor& x) const { return x.narrow(-1, 0, x.size(-1) - pieces).contiguous(); }

 private:
  static at::Tensor ByToken(const at::Tensor& bias, const std::vector<int64_t>& offsets) {
    std::vector<at::Tensor> rows;
    for (size_t r = 0; r + 1 < offsets.size(); ++r) rows.push_back(bias.narrow(1, 0, offsets[r + 1] - offsets[r]).t());
    return at::cat(rows, 0);
  }
};

AttentionOptions WithoutBias(AttentionOptions options) {
  options.key_bias = at::Tensor();
  return options;
}

}  // namespace

bool TakesKeyBias(const at::Tensor& q, int64_t kv_heads) {
  return q.size(1) == kv_heads && (q.scalar_type() == at::kFloat || q.scalar_type() == at::kBFloat16);
}

AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options) {
  if (options.key_bias.defined()) {
    const Biased biased(q, k, v, offsets, options);
    AttentionResult wide = cpu::Attention(biased.q, biased.k, biased.v, offsets, WithoutBias(options));
    return {biased.Narrow(wide.out), std::move(wide.saved)};
  }
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
  if (options.key_bias.defined()) {
    const Biased biased(q, k, v, offsets, options);
    const AttentionResult wide{biased.Wide(forward.out), forward.saved};
    const auto [gq, gk, gv] = cpu::AttentionBackward(biased.Wide(dout), biased.q, biased.k, biased.v, wide, offsets, WithoutBias(options));
    return {biased.Narrow(gq), biased.Narrow(gk), biased.Narrow(gv)};
  }
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
