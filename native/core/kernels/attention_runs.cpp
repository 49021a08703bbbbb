#include "core/kernels/attention_runs.h"

#include <ATen/ATen.h>

#include <limits>

namespace ft::kernels {

std::vector<AttentionRun> EqualRuns(const std::vector<int64_t>& offsets) {
  std::vector<AttentionRun> runs;
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

at::Tensor WindowMask(int64_t length, int64_t window, const at::TensorOptions& options) {
  const at::Tensor position = at::arange(length, options.dtype(at::kLong));
  const at::Tensor distance = position.unsqueeze(1) - position.unsqueeze(0);  // query − key
  return at::zeros({length, length}, options)
      .masked_fill_(distance.lt(0).logical_or_(distance.ge(window)), -std::numeric_limits<double>::infinity());
}

}  // namespace ft::kernels
