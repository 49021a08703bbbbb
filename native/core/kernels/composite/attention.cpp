#include "core/kernels/attention.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/kernels/attention_runs.h"

namespace ft::kernels {
namespace {

// [rows, Hq, length, d] -> fp32 [rows, Hk, Hq / Hk, length, d]
at::Tensor Grouped(const at::Tensor& x, int64_t kv_heads) {
  return x.reshape({x.size(0), kv_heads, x.size(1) / kv_heads, x.size(2), x.size(3)}).to(at::kFloat);
}

// The bias of keys at positions [begin, begin + count), fp32 [Hk, Hq / Hk, count].
at::Tensor KeyBias(const AttentionOptions& options, int64_t kv_heads, int64_t begin, int64_t count) {
  const at::Tensor& bias = options.key_bias;
  return bias.narrow(1, begin, count).view({kv_heads, bias.size(0) / kv_heads, count});
}

// fp32 [rows, Hk, group, length, length]
at::Tensor Scores(const at::Tensor& q, const at::Tensor& k, const AttentionOptions& options) {
  at::Tensor scores = at::matmul(Grouped(q, k.size(1)), k.unsqueeze(2).to(at::kFloat).transpose(-1, -2)).mul_(options.scale);
  if (options.key_bias.defined()) scores.add_(KeyBias(options, k.size(1), 0, k.size(2)).unsqueeze(-2));
  return options.softcap > 0 ? scores.div_(options.softcap).tanh_().mul_(options.softcap) : scores;
}

at::Tensor Masked(const at::Tensor& scores, const AttentionRun& run, const AttentionOptions& options) {
  const int64_t window = options.window > 0 ? options.window : run.length;
  return scores + WindowMask(run.length, window, scores.options());
}

// scores [..., Hk, group, queries, keys] with the sinks as one more key.
at::Tensor WithSinks(const at::Tensor& scores, const at::Tensor& sinks) {
  std::vector<int64_t> shape = scores.sizes().vec();
  shape.back() = 1;
  const int64_t heads = scores.dim() - 4;
  return at::cat({scores, sinks.view({scores.size(heads), scores.size(heads + 1), 1, 1}).expand(shape)}, -1);
}

// Shares of the keys: what sinks take is missing from their sum.
at::Tensor Shares(const at::Tensor& masked, const AttentionOptions& options) {
  if (!options.sinks.defined()) return at::softmax(masked, -1);
  return at::softmax(WithSinks(masked, options.sinks), -1).narrow(-1, 0, masked.size(-1));
}

}  // namespace

namespace composite {

AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options) {
  AttentionResult result;
  result.out = at::empty(q.sizes(), q.options());
  if (options.sinks.defined()) result.saved = {at::empty({q.size(0), q.size(1)}, q.options().dtype(at::kFloat))};
  for (const AttentionRun& run : EqualRuns(offsets)) {
    const at::Tensor qh = run.Heads(q);
    const at::Tensor masked = Masked(Scores(qh, run.Heads(k), options), run, options), p = Shares(masked, options);
    if (options.sinks.defined()) {
      const at::Tensor lse = WithSinks(masked, options.sinks).logsumexp(-1);  // [rows, Hk, group, length]
      run.Heads(result.saved[0].unsqueeze(-1)).copy_(lse.flatten(1, 2).unsqueeze(-1));
    }
    run.Heads(result.out).copy_(at::matmul(p, run.Heads(v).unsqueeze(2).to(at::kFloat)).reshape(qh.sizes()));
  }
  return result;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                                                 const at::Tensor& v, const AttentionResult&,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  at::Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options()), dv = at::empty(v.sizes(), v.options());
  const int64_t kv_heads = k.size(1);
  for (const AttentionRun& run : EqualRuns(offsets)) {
    const at::Tensor qh = run.Heads(q), kh = run.Heads(k), vh = run.Heads(v);
    const at::Tensor scores = Scores(qh, kh, options), p = Shares(Masked(scores, run, options), options);
    const at::Tensor d = Grouped(run.Heads(dout), kv_heads);
    const at::Tensor dp = at::matmul(d, vh.unsqueeze(2).to(at::kFloat).transpose(-1, -2));
    at::Tensor ds = (dp - (dp * p).sum(-1, true)).mul_(p).mul_(options.scale);
    if (options.softcap > 0) ds.mul_(1 - (scores / options.softcap).square());  // d tanh
    run.Heads(dq).copy_(at::matmul(ds, kh.unsqueeze(2).to(at::kFloat)).reshape(qh.sizes()));
    run.Heads(dk).copy_(at::matmul(ds.transpose(-1, -2), Grouped(qh, kv_heads)).sum(2));
    run.Heads(dv).copy_(at::matmul(p.transpose(-1, -2), d).sum(2));
  }
  return {dq, dk, dv};
}

at::Tensor AttentionDecode(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const std::vector<int64_t>& lengths, const AttentionOptions& options) {
  const int64_t kv_heads = keys.size(1);
  at::Tensor out = at::empty({q.size(0), q.size(1), values.size(3)}, q.options());
  for (int64_t row = 0; row < q.size(0); ++row) {
    const int64_t length = lengths[row];
    const int64_t begin = options.window > 0 ? std::max<int64_t>(0, length - options.window) : 0;
    const at::Tensor k = keys[row].narrow(1, begin, length - begin);  // [Hk, n, d]
    const at::Tensor v = values[row].narrow(1, begin, length - begin);
    const at::Tensor query = q[row].reshape({kv_heads, q.size(1) / kv_heads, q.size(2)});
    at::Tensor scores = at::matmul(query, k.transpose(1, 2)).to(at::kFloat).mul_(options.scale);
    if (options.key_bias.defined()) scores.add_(KeyBias(options, kv_heads, begin, length - begin));
    if (options.softcap > 0) scores = scores.div_(options.softcap).tanh_().mul_(options.softcap);
    const at::Tensor p = Shares(scores.unsqueeze(2), options).squeeze(2);  // of one query a head
    out[row].copy_(at::matmul(p.to(v.scalar_type()), v).view({q.size(1), values.size(3)}));
  }
  return out;
}

}  // namespace composite

}  // namespace ft::kernels
