// Rotary position embedding (https://arxiv.org/abs/2104.09864) in the half-split layout of Hugging Face models,
// with its frequency scalings: linear, dynamic NTK, llama3, yarn (transformers' modeling_rope_utils).
#pragma once

#include <ATen/core/Tensor.h>

#include "core/nn/context.h"
#include "core/nn/decoder_spec.h"

namespace ft {

class Rope {
 public:
  Rope() = default;
  Rope(const DecoderSpec& spec, at::Device device);

  /// Inverse frequencies for a row of `length` tokens, fp32 [dim / 2] on the CPU. Only dynamic scaling depends on length.
  at::Tensor InverseFrequencies(int64_t length) const;
  /// cos and sin of every token of the batch, fp32 [tokens, dim / 2], times the attention factor.
  std::pair<at::Tensor, at::Tensor> Tables(const Batch& batch) const;
  /// The same for positions [n] of rows that are `length` tokens long.
  std::pair<at::Tensor, at::Tensor> TablesAt(const at::Tensor& positions, int64_t length) const;

  /// True when a longer row changes the rotation of its earlier tokens: a cache must then keep keys unrotated.
  bool depends_on_length() const { return spec_.type == RopeType::kDynamic; }

 private:
  RopeSpec spec_;
  int64_t dim_ = 0;
  int64_t max_position_embeddings_ = 0;
  double attention_scaling_ = 1.0;
  at::Tensor inv_freq_;  // CPU fp32 [dim / 2], of rows within the original length
  at::Device device_ = at::kCPU;
};

/// Rotates x [tokens, heads, head_dim] by tables of Rope::Tables. Differentiable.
at::Tensor ApplyRope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace ft
