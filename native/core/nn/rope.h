// Rotary position embedding (https://arxiv.org/abs/2104.09864) and its frequency scalings: linear, dynamic NTK, llama3,
// yarn, longrope, as transformers' modeling_rope_utils computes them.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "core/nn/decoder_spec.h"

namespace ft {

class Rope {
 public:
  Rope(const RopeSpec& rope, int64_t max_position_embeddings, at::Device device);

  /// Inverse frequencies of a row of `length` tokens, fp32 [dim / 2] on the CPU. Only dynamic and longrope scaling depend on length.
  at::Tensor InverseFrequencies(int64_t length) const;
  /// Rows that grow beyond this many tokens turn all their keys anew (longrope); a cache of theirs is of no use.
  int64_t cache_valid_to() const;
  /// cos and sin, fp32 [tokens, dim / 2], times the attention factor, of tokens at `positions` int64 [tokens] in rows
  /// of which row r holds tokens offsets[r] … and is lengths[r] tokens long altogether.
  std::pair<at::Tensor, at::Tensor> Tables(const at::Tensor& positions, const std::vector<int64_t>& offsets,
                                           const std::vector<int64_t>& lengths) const;

 private:
  RopeSpec spec_;
  int64_t max_position_embeddings_;
  int64_t stretched_beyond_;  // rows of more tokens have frequencies of their own
  double attention_scaling_;
  at::Device device_;
  at::Tensor inv_freq_;  // fp32 [dim / 2] on the device, of rows that are not stretched
};

}  // namespace ft
