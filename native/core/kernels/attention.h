// Causal attention inside rows of a packed batch, grouped heads, optional sliding window.
// Row r holds tokens offsets[r] … offsets[r + 1] − 1 and sees nothing of the others. With a window w, the query at
// position i sees keys i − w + 1 … i. Softmax in fp32. q [tokens, Hq, d], k and v [tokens, Hk, d], Hq a multiple of Hk.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <tuple>
#include <vector>

namespace ft::kernels {

struct AttentionOptions {
  double scale = 1.0;
  int64_t window = 0;    // 0: all earlier tokens
  double softcap = 0.0;  // 0: none; else scores become softcap · tanh(score / softcap) (Gemma 2)
  bool eager = false;  // the composite version everywhere
  /// fp32 [Hq, positions] or undefined: added to the scaled scores of the key at a position of its row (ALiBi,
  /// https://arxiv.org/abs/2108.12409). At least as many positions as the longest row. Not together with softcap.
  at::Tensor key_bias{};
  /// fp32 [Hq] or undefined: one more score of every query of a head, whose share of the softmax goes nowhere
  /// (attention sinks, https://arxiv.org/abs/2309.17453, learned as in gpt_oss).
  at::Tensor sinks{};
};

struct AttentionResult {
  at::Tensor out;  // [tokens, Hq, d]
  std::vector<at::Tensor> saved;  // what the backward wants, a call-internal layout
};

/// Whether a device has a version that never holds all scores, for heads of this size.
bool HasFlashAttention(const at::Device& device, at::ScalarType dtype, int64_t head_dim);

AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const std::vector<int64_t>& offsets, const AttentionOptions& options);

/// Returns dq, dk, dv with the shapes of q, k, v.
std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q,
                                                                 const at::Tensor& k, const at::Tensor& v,
                                                                 const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets,
                                                                 const AttentionOptions& options);

/// d sinks, fp32 [Hq]. `forward` is what Attention returned for options with sinks.
at::Tensor SinkGradient(const at::Tensor& dout, const AttentionResult& forward, const std::vector<int64_t>& offsets, const AttentionOptions& options);

/// One new query a row against cached keys: q [rows, Hq, d]; keys [rows, Hk, capacity, d], values [rows, Hk, capacity, dv], of
/// which row r holds lengths[r] entries, the new one last. Returns [rows, Hq, dv].
at::Tensor AttentionDecode(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const std::vector<int64_t>& lengths, const AttentionOptions& options);

namespace composite {  // plain matrix products, any device: the reference of the others
AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options);
std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                                                 const at::Tensor& v, const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options);
at::Tensor AttentionDecode(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, const std::vector<int64_t>& lengths,
                           const AttentionOptions& options);
}  // namespace composite

namespace cpu {  // ATen's flash kernel
/// Whether a bias of keys can travel in more dimensions of the heads: exact in fp32 and bf16, one key head a query head.
bool TakesKeyBias(const at::Tensor& q, int64_t kv_heads);
AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options);
std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                                                 const at::Tensor& v, const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options);
}  // namespace cpu

}  // namespace ft::kernels
