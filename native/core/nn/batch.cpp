#include "core/nn/batch.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/base/error.h"

namespace ft {
namespace {

void CheckOffsets(const HostBatch& host) {
  const auto& cu = host.cu_seqlens;
  FT_CHECK(cu.size() >= 2 && cu.front() == 0, kInvalidArgument,
           "cuSeqlens must start at 0 and hold one more entry than there are rows, got {} entries", cu.size());
  FT_CHECK(cu.back() == static_cast<int64_t>(host.input_ids.size()), kInvalidArgument,
           "cuSeqlens must end at the number of tokens {}, got {}", host.input_ids.size(), cu.back());
  for (size_t r = 0; r + 1 < cu.size(); ++r) {
    FT_CHECK(cu[r] < cu[r + 1], kInvalidArgument, "row {} of the batch is empty or reversed: tokens {} to {}", r, cu[r], cu[r + 1]);
  }
}

void CheckIds(const HostBatch& host, int64_t vocab_size) {
  for (size_t t = 0; t < host.input_ids.size(); ++t) {
    const int64_t id = host.input_ids[t];
    FT_CHECK(id >= 0 && id < vocab_size, kInvalidArgument, "inputIds[{}] is {}, outside the vocabulary of {} tokens", t, id, vocab_size);
  }
  for (size_t t = 0; t < host.labels.size(); ++t) {
    const int64_t label = host.labels[t];
    FT_CHECK(label == kIgnoreLabel || (label >= 0 && label < vocab_size), kInvalidArgument,
             "labels[{}] is {}: expected -100 or a token id below {}", t, label, vocab_size);
  }
}

at::Tensor ToDevice(const std::vector<int64_t>& values, const at::Device& device) {
  return at::from_blob(const_cast<int64_t*>(values.data()), {static_cast<int64_t>(values.size())}, at::kLong).clone().to(device);
}

}  // namespace

int64_t CountSupervised(const HostBatch& host) {
  int64_t count = 0;
  if (host.labels.size() != host.input_ids.size()) return 0;
  for (size_t r = 0; r + 1 < host.cu_seqlens.size(); ++r) {
    const int64_t end = std::min<int64_t>(host.cu_seqlens[r + 1], static_cast<int64_t>(host.labels.size()));
    for (int64_t t = std::max(host.cu_seqlens[r], 0) + 1; t < end; ++t) count += host.labels[t] != kIgnoreLabel;
  }
  return count;
}

Batch MakeBatch(const HostBatch& host, int64_t vocab_size, const at::Device& device) {
  FT_CHECK(!host.input_ids.empty(), kInvalidArgument, "a batch needs at least one token");
  FT_CHECK(host.labels.empty() || host.labels.size() == host.input_ids.size(), kInvalidArgument,
           "labels must have one entry a token: {} labels, {} tokens", host.labels.size(), host.input_ids.size());
  CheckOffsets(host);
  CheckIds(host, vocab_size);
  const int64_t rows = static_cast<int64_t>(host.cu_seqlens.size()) - 1;
  FT_CHECK(host.row_ids.empty() || static_cast<int64_t>(host.row_ids.size()) == rows, kInvalidArgument,
           "rowIds must have one entry a row: {} ids, {} rows", host.row_ids.size(), rows);

  std::vector<int64_t> ids(host.input_ids.begin(), host.input_ids.end()), positions, keys, sources, targets;
  positions.reserve(ids.size());
  keys.reserve(ids.size());
  Batch batch;
  batch.offsets.assign(host.cu_seqlens.begin(), host.cu_seqlens.end());
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t begin = batch.offsets[r], end = batch.offsets[r + 1];
    batch.max_length = std::max(batch.max_length, end - begin);
    for (int64_t t = begin; t < end; ++t) {
      positions.push_back(t - begin);
      keys.push_back(host.row_ids.empty() ? r : host.row_ids[r]);
      if (t > begin && !host.labels.empty() && host.labels[t] != kIgnoreLabel) {
        sources.push_back(t - 1);
        targets.push_back(host.labels[t]);
      }
    }
  }
  batch.tokens = static_cast<int64_t>(ids.size());
  batch.supervised = static_cast<int64_t>(sources.size());
  batch.input_ids = ToDevice(ids, device);
  batch.positions = ToDevice(positions, device);
  batch.row_keys = ToDevice(keys, device);
  batch.loss_source = ToDevice(sources, device);
  batch.loss_target = ToDevice(targets, device);
  return batch;
}

}  // namespace ft
