// Attention from ATen operations: the CPU's flash kernel on runs of rows that are equally long, and plain matrix
// products elsewhere (any device).
#include "core/kernels/attention.h"

#include <ATen/ATen.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>

#include <limits>
#include <optional>

namespace ft::kernels {
namespace {

// Neighbouring rows of one length are one [rows, heads, length, d] call.
struct Run {
  int64_t begin;   // first token
  int64_t rows;
  int64_t length;  // tokens a row
};

std::vector<Run> EqualRuns(const std::vector<int64_t>& offsets) {
  std::vector<Run> runs;
  for (size_t r = 0; r + 1 < offsets.size(); ++r) {
    const int64_t length = offsets[r + 1] - offsets[r];
    if (!runs.empty() && runs.back().length == length) {
      ++runs.back().rows;
    } else {
      runs.push_back({offsets[r], 1, length});
    }
  }
  return runs;
}

// [tokens, heads, d] -> [rows, heads, length, d], a view.
at::Tensor Heads(const at::Tensor& x, const Run& run) {
  return x.narrow(0, run.begin, run.rows * run.length).view({run.rows, run.length, x.size(1), x.size(2)}).transpose(1, 2);
}

void StoreHeads(at::Tensor& destination, const Run& run, const at::Tensor& source) {
  Heads(destination, run).copy_(source);
}

// Additive mask [length, length] for a window that is shorter than the row; nothing otherwise.
std::optional<at::Tensor> WindowMask(const Run& run, int64_t window, const at::TensorOptions& options) {
  if (window <= 0 || window >= run.length) return std::nullopt;
  const at::Tensor position = at::arange(run.length, options.dtype(at::kLong));
  const at::Tensor distance = position.unsqueeze(1) - position.unsqueeze(0);  // query − key
  return at::zeros({run.length, run.length}, options)
      .masked_fill_(distance.lt(0).logical_or_(distance.ge(window)), -std::numeric_limits<double>::infinity());
}

bool UseFlash(const at::Tensor& q) { return q.device().is_cpu(); }

// The plain version: probabilities [rows, Hk, group, length, length] in fp32.
at::Tensor Probabilities(const at::Tensor& q, const at::Tensor& k, const Run& run, const AttentionOptions& options) {
  const int64_t kv_heads = k.size(1);
  const at::Tensor q5 = q.reshape({run.rows, kv_heads, q.size(1) / kv_heads, run.length, q.size(3)}).to(at::kFloat);
  const at::Tensor scores = at::matmul(q5, k.unsqueeze(2).to(at::kFloat).transpose(-1, -2)).mul_(options.scale);
  const auto mask = WindowMask(run, options.window > 0 ? options.window : run.length, scores.options());
  const at::Tensor causal = at::ones({run.length, run.length}, scores.options().dtype(at::kBool)).triu_(1);
  at::Tensor masked = scores.masked_fill(causal, -std::numeric_limits<double>::infinity());
  if (mask) masked = masked + *mask;
  return at::softmax(masked, -1);
}

}  // namespace

AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  AttentionResult result;
  result.out = at::empty(q.sizes(), q.options());
  for (const Run& run : EqualRuns(offsets)) {
    const at::Tensor qh = Heads(q, run), kh = Heads(k, run), vh = Heads(v, run);
    if (UseFlash(q)) {
      const auto mask = WindowMask(run, options.window, q.options());
      auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(qh, kh, vh, 0.0, !mask.has_value(), mask, options.scale);
      StoreHeads(result.out, run, out);
      result.saved.push_back(lse);
    } else {
      const at::Tensor p = Probabilities(qh, kh, run, options);
      StoreHeads(result.out, run, at::matmul(p, vh.unsqueeze(2).to(at::kFloat)).reshape(qh.sizes()));
    }
  }
  return result;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q,
                                                                 const at::Tensor& k, const at::Tensor& v,
                                                                 const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets,
                                                                 const AttentionOptions& options) {
  at::Tensor dq = at::empty(q.sizes(), q.options());
  at::Tensor dk = at::empty(k.sizes(), k.options());
  at::Tensor dv = at::empty(v.sizes(), v.options());
  size_t index = 0;
  for (const Run& run : EqualRuns(offsets)) {
    const at::Tensor qh = Heads(q, run), kh = Heads(k, run), vh = Heads(v, run), doh = Heads(dout, run);
    if (UseFlash(q)) {
      const auto mask = WindowMask(run, options.window, q.options());
      const auto [gq, gk, gv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          doh, qh, kh, vh, Heads(forward.out, run), forward.saved[index++], 0.0, !mask.has_value(), mask, options.scale);
      StoreHeads(dq, run, gq);
      StoreHeads(dk, run, gk);
      StoreHeads(dv, run, gv);
      continue;
    }
    const int64_t kv_heads = kh.size(1);
    const std::vector<int64_t> grouped = {run.rows, kv_heads, qh.size(1) / kv_heads, run.length, qh.size(3)};
    const at::Tensor p = Probabilities(qh, kh, run, options);
    const at::Tensor do5 = doh.reshape(grouped).to(at::kFloat);
    const at::Tensor dp = at::matmul(do5, vh.unsqueeze(2).to(at::kFloat).transpose(-1, -2));
    const at::Tensor ds = (dp - (dp * p).sum(-1, true)).mul_(p).mul_(options.scale);
    StoreHeads(dq, run, at::matmul(ds, kh.unsqueeze(2).to(at::kFloat)).reshape(qh.sizes()));
    StoreHeads(dk, run, at::matmul(ds.transpose(-1, -2), qh.reshape(grouped).to(at::kFloat)).sum(2));
    StoreHeads(dv, run, at::matmul(p.transpose(-1, -2), do5).sum(2));
  }
  return {dq, dk, dv};
}

at::Tensor AttentionDecode(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const std::vector<int64_t>& lengths, const AttentionOptions& options) {
  const int64_t kv_heads = keys.size(1);
  at::Tensor out = at::empty(q.sizes(), q.options());
  for (int64_t row = 0; row < q.size(0); ++row) {
    const int64_t length = lengths[row];
    const int64_t begin = options.window > 0 ? std::max<int64_t>(0, length - options.window) : 0;
    const at::Tensor k = keys[row].narrow(1, begin, length - begin);    // [Hk, n, d]
    const at::Tensor v = values[row].narrow(1, begin, length - begin);
    const at::Tensor query = q[row].view({kv_heads, q.size(1) / kv_heads, q.size(2)});
    const at::Tensor p = at::softmax(at::matmul(query, k.transpose(1, 2)).to(at::kFloat).mul_(options.scale), -1);
    out[row].copy_(at::matmul(p.to(v.scalar_type()), v).view({q.size(1), q.size(2)}));
  }
  return out;
}

}  // namespace ft::kernels
