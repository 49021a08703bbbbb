// Keys and values of the tokens already seen, a layer [rows, heads, capacity, dim]; grows by doubling.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/nn/block.h"

namespace ft {

class KvCache {
 public:
  /// One shape a layer.
  KvCache(const std::vector<CacheShape>& shapes, int64_t rows, int64_t capacity, const at::TensorOptions& options);

  /// Appends count tokens of a row: k, v [count, heads, dim], at position `at`.
  void Store(int64_t layer, int64_t row, int64_t at, const at::Tensor& k, const at::Tensor& v);
  /// Appends one token to every row: k, v [rows, heads, dim], row r at position at[r].
  void StoreOne(int64_t layer, const std::vector<int64_t>& at, const at::Tensor& k, const at::Tensor& v);
  at::Tensor keys(int64_t layer) const { return keys_[layer]; }
  at::Tensor values(int64_t layer) const { return values_[layer]; }
  /// Room for `capacity` tokens a row from now on.
  void Reserve(int64_t capacity);

  std::vector<int64_t> lengths;  // [rows] tokens held; the owner advances it after a whole forward pass

 private:
  int64_t capacity_;
  std::vector<at::Tensor> keys_, values_;
};

}  // namespace ft
