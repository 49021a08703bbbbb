#include "core/engine/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_set>

#include "core/base/error.h"

namespace ft {
namespace {

void PenaliseRepetition(std::span<float> logits, const std::vector<int32_t>& seen, double penalty) {
  if (penalty == 1.0) return;
  for (const int32_t token : std::unordered_set<int32_t>(seen.begin(), seen.end())) {
    float& logit = logits[token];
    logit = static_cast<float>(logit < 0 ? logit * penalty : logit / penalty);
  }
}

int32_t ArgMax(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

int32_t SampleToken(std::span<float> logits, const std::vector<int32_t>& seen, const SamplingOptions& options, double uniform) {
  // One value that is none makes the choice among all of them arbitrary; -inf is a token that cannot follow.
  if (std::any_of(logits.begin(), logits.end(), [](float logit) { return std::isnan(logit) || logit == std::numeric_limits<float>::infinity(); })) {
    throw Error(ErrorCode::kSafetensors, "the model's logits are not finite: no token can be chosen",
                "check the weights (NaN or infinite values in the files), or compute in fp32: --dtype fp32");
  }
  PenaliseRepetition(logits, seen, options.repetition_penalty);
  if (options.temperature == 0.0) return ArgMax(logits);

  // Candidates from the most to the least likely; ties by token id, so that the order is one.
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto likelier = [&](int32_t a, int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
  size_t keep = order.size();
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < keep) {
    keep = static_cast<size_t>(options.top_k);
    std::nth_element(order.begin(), order.begin() + static_cast<int64_t>(keep) - 1, order.end(), likelier);
    order.resize(keep);
  }
  std::sort(order.begin(), order.end(), likelier);

  const double highest = logits[order[0]];
  std::vector<double> weights(order.size());
  for (size_t i = 0; i < order.size(); ++i) weights[i] = std::exp((logits[order[i]] - highest) / options.temperature);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  // top-p keeps the shortest prefix whose probability reaches top_p, at least one token.
  double kept = 0;
  size_t count = 0;
  while (count < weights.size() && (count == 0 || kept < options.top_p * total)) kept += weights[count++];
  double target = uniform * kept;
  for (size_t i = 0; i < count; ++i) {
    target -= weights[i];
    if (target < 0) return order[i];
  }
  return order[count - 1];
}

}  // namespace ft
