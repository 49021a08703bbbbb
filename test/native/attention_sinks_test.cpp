// Attention with sinks in every version of the kernel, against a softmax with one more column in float64 under autograd; and
// attention whose values are narrower than its keys, as a cache of latent attention holds them.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <array>
#include <cmath>
#include <limits>

#include "core/kernels/attention.h"
#include "nn_reference.h"
#include "test.h"

using namespace ft;
using namespace ft::test;

namespace {

at::Tensor Leaf(const at::Tensor& x) { return x.detach().to(at::kDouble).clone().requires_grad_(true); }

struct Leaves {
  at::Tensor q, k, v, sinks;
};

// One row [n, heads, d] at a time.
at::Tensor Plain(const Leaves& p, const std::vector<int64_t>& offsets, double scale, int64_t window) {
  std::vector<at::Tensor> rows;
  const int64_t heads = p.q.size(1), group = heads / p.k.size(1);
  for (size_t r = 0; r + 1 < offsets.size(); ++r) {
    const int64_t begin = offsets[r], n = offsets[r + 1] - begin;
    const auto of = [&](const at::Tensor& x) { return x.narrow(0, begin, n).transpose(0, 1); };
    const at::Tensor q = of(p.q), k = of(p.k).repeat_interleave(group, 0), v = of(p.v).repeat_interleave(group, 0);
    const at::Tensor distance = at::arange(n).unsqueeze(1) - at::arange(n).unsqueeze(0);
    at::Tensor hidden = distance.lt(0);
    if (window > 0) hidden = hidden.logical_or(distance.ge(window));
    const at::Tensor scores = (at::matmul(q, k.transpose(1, 2)) * scale).masked_fill(hidden, -std::numeric_limits<double>::infinity());
    const at::Tensor all = at::cat({scores, p.sinks.view({heads, 1, 1}).expand({heads, n, 1})}, -1);
    rows.push_back(at::matmul(at::softmax(all, -1).narrow(-1, 0, n), v).transpose(0, 1));
  }
  return at::cat(rows, 0);
}

}  // namespace

TEST(attention_sinks_match_float64_in_every_version) {
  at::manual_seed(11);
  const std::vector<int64_t> offsets = {0, 1, 30, 59, 130};
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const double tolerance = dtype == at::kFloat ? 1e-5 : 2e-2;
    for (const bool eager : {false, true}) {
      for (const auto& [heads, kv_heads, window] : {std::array<int64_t, 3>{4, 2, 0}, {3, 1, 8}}) {
        const int64_t tokens = offsets.back(), d = 10;
        const at::Tensor q = at::randn({tokens, heads, d}).to(dtype), k = at::randn({tokens, kv_heads, d}).to(dtype), v = at::randn({tokens, kv_heads, d}).to(dtype);
        const at::Tensor dout = at::randn({tokens, heads, d}).to(dtype);
        kernels::AttentionOptions options{.scale = 0.4, .window = window, .eager = eager};
        options.sinks = at::randn({heads}).mul_(2);
        at::AutoGradMode grad(true);
        const Leaves p{Leaf(q), Leaf(k), Leaf(v), Leaf(options.sinks)};
        const at::Tensor plain = Plain(p, offsets, options.scale, window);
        torch::autograd::backward({plain}, {dout.to(at::kDouble)});
        at::NoGradGuard no_grad;
        const kernels::AttentionResult result = kernels::Attention(q, k, v, offsets, options);
        EXPECT(RelativeError(result.out, plain) < tolerance);
        const auto [dq, dk, dv] = kernels::AttentionBackward(dout, q, k, v, result, offsets, options);
        EXPECT(RelativeError(dq, p.q.grad()) < tolerance);
        EXPECT(RelativeError(dk, p.k.grad()) < tolerance);
        EXPECT(RelativeError(dv, p.v.grad()) < tolerance);
        EXPECT(RelativeError(kernels::SinkGradient(dout, result, offsets, options), p.sinks.grad()) < tolerance);
      }
    }
  }
}

TEST(attention_decode_takes_sinks_and_narrow_values) {
  at::manual_seed(12);
  const std::vector<int64_t> lengths = {1, 17, 40};
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const bool eager : {false, true}) {
      for (const auto& [window, dv] : {std::pair<int64_t, int64_t>{0, 10}, {5, 6}, {0, 14}}) {
        const int64_t heads = 4, kv_heads = 2, d = 10, capacity = 48;
        const at::Tensor q = at::randn({3, heads, d}).to(dtype);
        const at::Tensor keys = at::randn({3, kv_heads, capacity, d}).to(dtype), values = at::randn({3, kv_heads, capacity, dv}).to(dtype);
        kernels::AttentionOptions options{.scale = 0.4, .window = window, .eager = eager};
        options.sinks = at::randn({heads}).mul_(2);
        const at::Tensor out = kernels::AttentionDecode(q, keys, values, lengths, options);
        EXPECT_EQ(out.size(2), dv);
        for (int64_t row = 0; row < 3; ++row) {
          const int64_t n = lengths[row], begin = window > 0 ? std::max<int64_t>(0, n - window) : 0;
          const auto of = [&](const at::Tensor& x) { return x[row].narrow(1, begin, n - begin).to(at::kDouble).repeat_interleave(heads / kv_heads, 0); };
          const at::Tensor scores = at::matmul(of(keys), q[row].to(at::kDouble).unsqueeze(-1)).squeeze(-1) * options.scale;
          const at::Tensor p = at::softmax(at::cat({scores, options.sinks.to(at::kDouble).unsqueeze(1)}, 1), 1).narrow(1, 0, n - begin);
          EXPECT(RelativeError(out[row], at::matmul(p.unsqueeze(1), of(values)).squeeze(1)) < (dtype == at::kFloat ? 1e-5 : 2e-2));
        }
      }
    }
  }
}
