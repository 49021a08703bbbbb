#include "core/nn/head_views.h"

#include <ATen/ATen.h>

namespace ft {

HeadViews ViewsOf(const at::Tensor& qkv, const HeadCounts& counts) {
  const int64_t tokens = qkv.size(0), d = counts.head_dim, hq = counts.num_heads, hk = counts.num_kv_heads;
  if (counts.order == QkvOrder::kConcatenated) {
    const at::Tensor heads = qkv.view({tokens, hq + 2 * hk, d});
    return {heads.narrow(1, 0, hq), heads.narrow(1, hq, hk), heads.narrow(1, hq + hk, hk)};
  }
  const int64_t group = hq / hk;
  const at::Tensor heads = qkv.view({tokens, hk, group + 2, d});
  // With one query head a group there is one stride between heads, so that nothing has to be copied.
  const at::Tensor q = group == 1 ? heads.select(2, 0) : heads.narrow(2, 0, group);
  return {q, heads.select(2, group), heads.select(2, group + 1)};
}

}  // namespace ft
