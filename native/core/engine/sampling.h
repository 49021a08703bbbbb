// From one row of logits to a token, in transformers' order: repetition penalty, temperature, top-k, top-p.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ft {

struct SamplingOptions {
  double temperature = 0.0;  // 0: greedy
  int64_t top_k = 0;         // 0: off
  double top_p = 1.0;        // 1: off
  double repetition_penalty = 1.0;
};

/// `logits` [vocab] is used as scratch. `seen`: prompt and produced tokens. `uniform` in [0, 1) decides a sampled token.
int32_t SampleToken(std::span<float> logits, const std::vector<int32_t>& seen, const SamplingOptions& options, double uniform);

}  // namespace ft
