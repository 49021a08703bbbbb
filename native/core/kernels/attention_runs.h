// How the attention versions that know no packed rows walk a packed batch: neighbouring rows of one length are one
// [rows, heads, length, d] call on views.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace ft::kernels {

struct AttentionRun {
  int64_t begin;   // first token
  int64_t rows;
  int64_t length;  // tokens a row

  /// x [tokens, heads, d] -> [rows, heads, length, d], a view.
  at::Tensor Heads(const at::Tensor& x) const {
    return x.narrow(0, begin, rows * length).view({rows, length, x.size(1), x.size(2)}).transpose(1, 2);
  }
};

std::vector<AttentionRun> EqualRuns(const std::vector<int64_t>& offsets);

/// Additive causal mask [length, length] for a sliding window.
at::Tensor WindowMask(int64_t length, int64_t window, const at::TensorOptions& options);

}  // namespace ft::kernels
