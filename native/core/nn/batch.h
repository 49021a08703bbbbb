// Rows of tokens laid end to end, without padding: everything but attention sees [tokens, …], attention
// works row by row through `offsets`. Positions restart at 0 in each row.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace ft {

/// As it comes from a caller; not yet trusted.
struct HostBatch {
  std::vector<int32_t> input_ids;   // [tokens]
  std::vector<int32_t> labels;      // [tokens] or empty; -100: no loss
  std::vector<int32_t> cu_seqlens;  // [rows + 1]
  std::vector<int32_t> row_ids;     // [rows] or empty: 0, 1, 2 …
};

constexpr int64_t kIgnoreLabel = -100;

/// Checked, on the model's device.
struct Batch {
  at::Tensor input_ids;          // int64 [tokens]
  at::Tensor positions;          // int64 [tokens], index in its row (plus `past` when a cache is in use)
  at::Tensor row_keys;           // int64 [tokens], row id of each token: the key of dropout
  std::vector<int64_t> offsets;  // [rows + 1]
  // Supervised positions: the token at `source` predicts `target`. Equal lengths, in token order.
  at::Tensor loss_source;        // int64 [supervised], index into tokens
  at::Tensor loss_target;        // int64 [supervised], token ids
  int64_t tokens = 0;
  int64_t supervised = 0;
  int64_t max_length = 0;

  int64_t rows() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

/// Checks every index against `vocab_size` and builds the device tensors.
/// Errors: kInvalidArgument (names the field, the index and the value).
Batch MakeBatch(const HostBatch& host, int64_t vocab_size, const at::Device& device);

/// Labels ≠ -100 at positions a row predicts (not its first), without building anything.
int64_t CountSupervised(const HostBatch& host);

}  // namespace ft
