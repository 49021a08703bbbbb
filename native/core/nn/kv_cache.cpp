#include "core/nn/kv_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace ft {

KvCache::KvCache(const std::vector<CacheShape>& shapes, int64_t rows, int64_t capacity, const at::TensorOptions& options)
    : lengths(rows, 0), capacity_(capacity) {
  for (const CacheShape& shape : shapes) {
    keys_.push_back(at::empty({rows, shape.heads, capacity, shape.key_dim}, options));
    values_.push_back(at::empty({rows, shape.heads, capacity, shape.value_dim}, options));
  }
}

void KvCache::StoreOne(int64_t layer, const std::vector<int64_t>& at, const at::Tensor& k, const at::Tensor& v) {
  const auto rows = static_cast<int64_t>(at.size());
  if (!k.device().is_cpu()) {
    for (int64_t row = 0; row < rows; ++row) Store(layer, row, at[row], k.narrow(0, row, 1), v.narrow(0, row, 1));
    return;
  }
  // A few bytes a head: an operation each would cost far more than the copy.
  for (const auto& [from, to] : {std::pair{k.contiguous(), keys_[layer]}, {v.contiguous(), values_[layer]}}) {
    const int64_t heads = to.size(1), bytes = to.size(3) * to.element_size();
    const auto* source = static_cast<const char*>(from.const_data_ptr());
    auto* target = static_cast<char*>(to.mutable_data_ptr());
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t head = 0; head < heads; ++head) {
        const int64_t index = row * heads + head;
        std::memcpy(target + (index * capacity_ + at[row]) * bytes, source + index * bytes, static_cast<size_t>(bytes));
      }
    }
  }
}

void KvCache::Store(int64_t layer, int64_t row, int64_t at, const at::Tensor& k, const at::Tensor& v) {
  keys_[layer][row].narrow(1, at, k.size(0)).copy_(k.transpose(0, 1));
  values_[layer][row].narrow(1, at, v.size(0)).copy_(v.transpose(0, 1));
}

void KvCache::Reserve(int64_t capacity) {
  if (capacity <= capacity_) return;
  const int64_t grown = std::max(capacity, 2 * capacity_);
  for (auto* list : {&keys_, &values_}) {
    for (at::Tensor& tensor : *list) {
      std::vector<int64_t> shape = tensor.sizes().vec();
      shape[2] = grown;
      at::Tensor larger = at::empty(shape, tensor.options());
      larger.narrow(2, 0, capacity_).copy_(tensor);
      tensor = larger;
    }
  }
  capacity_ = grown;
}

}  // namespace ft
