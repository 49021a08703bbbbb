// Rotary position embedding (https://arxiv.org/abs/2104.09864) and its frequency scalings: linear, dynamic NTK, llama3,
// yarn, as transformers' modeling_rope_utils computes them.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "core/nn/decoder_spec.h"

namespace ft {

class Rope {
 public:
  Rope() = default;
  Rope(const DecoderSpec& spec, at::Device device);

  /// Inverse frequencies of a row of `length` tokens, fp32 [dim / 2] on the CPU. Only dynamic scaling depends on length.
  at::Tensor InverseFrequencies(int64_t length) const;
  /// cos and sin, fp32 [tokens, dim / 2], times the attention factor, of tokens at `positions` int64 [tokens] in rows
  /// of which row r holds tokens offsets[r] … and is lengths[r] tokens long altogether.
  std::pair<at::Tensor, at::Tensor> Tables(const at::Tensor& positions, const std::vector<int64_t>& offsets,
                                           const std::vector<int64_t>& lengths) const;

 private:
  RopeSpec spec_;
  int64_t dim_ = 0;
  int64_t max_position_embeddings_ = 0;
  double attention_scaling_ = 1.0;
  at::Device device_ = at::kCPU;
  at::Tensor inv_freq_;  // fp32 [dim / 2] on the device, of rows within max_position_embeddings
};

}  // namespace ft
