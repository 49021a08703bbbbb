// How the heads of queries, keys and values lie in their fused product, as views.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/nn/decoder_spec.h"

namespace ft {

struct HeadViews {
  at::Tensor q;  // [tokens, num_heads, d]; grouped: [tokens, num_kv_heads, heads a group, d]
  at::Tensor k;  // [tokens, num_kv_heads, d]
  at::Tensor v;
};

struct HeadCounts {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  QkvOrder order = QkvOrder::kConcatenated;
};

/// Views of qkv [tokens, (Hq + 2·Hk)·d], whose rows are dense.
HeadViews ViewsOf(const at::Tensor& qkv, const HeadCounts& counts);

}  // namespace ft
