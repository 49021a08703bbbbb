// Autoregressive generation over several rows with a key-value cache: prefill once, then one token a row
// a call. Sampling follows transformers' order: repetition penalty, temperature, top-k, top-p.
#pragma once

#include <memory>
#include <vector>

#include "core/engine/model.h"
#include "core/nn/kv_cache.h"

namespace ft {

struct GenerateOptions {
  int64_t max_new_tokens = 0;
  double temperature = 0.0;  // 0: greedy
  int64_t top_k = 0;         // 0: off
  double top_p = 1.0;        // 1: off
  double repetition_penalty = 1.0;
  uint64_t seed = 0;
  std::vector<int32_t> stop_token_ids;
  bool use_cache = true;
};

class Generation {
 public:
  /// Errors: kInvalidArgument (empty prompt, ids outside the vocabulary, options outside their range).
  static std::shared_ptr<Generation> Start(std::shared_ptr<Model> model, std::vector<std::vector<int32_t>> prompts,
                                           const GenerateOptions& options);
  struct Next {
    std::vector<int32_t> tokens;  // [rows]; -1 where the row has ended
    bool done = false;
  };
  Next Step(const CancelToken* cancel);
  /// Ends a row early.
  void Finish(int64_t row);

 private:
  Generation() = default;
  void ForgetOutgrown();
  at::Tensor LastLogits(const CancelToken* cancel);

  std::shared_ptr<Model> model_;
  GenerateOptions options_;
  std::vector<std::vector<int32_t>> rows_;  // prompt and what was produced
  std::vector<char> ended_;
  std::unique_ptr<KvCache> cache_;
  int64_t produced_ = 0;
};

}  // namespace ft
