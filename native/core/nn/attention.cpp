#include "core/nn/attention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "core/kernels/attention.h"
#include "core/kernels/rope.h"
#include "core/nn/kv_cache.h"

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Heads {
  at::Tensor q, k, v;            // [tokens, heads, d]: normed and rotated (q, k); v a view of the product
  at::Tensor q_raw, k_raw;       // views of the product
  at::Tensor q_rstd, k_rstd;     // with q/k norm
};

Heads SplitAndRotate(const AttentionCore& core, const at::Tensor& qkv, const RopeTables& tables) {
  const int64_t tokens = qkv.size(0), d = core.head_dim, hq = core.num_heads, hk = core.num_kv_heads;
  const at::Tensor heads = qkv.view({tokens, hq + 2 * hk, d});
  Heads h;
  h.q_raw = heads.narrow(1, 0, hq);
  h.k_raw = heads.narrow(1, hq, hk);
  h.v = heads.narrow(1, hq + hk, hk);
  h.q = core.q_norm ? core.q_norm->Apply(h.q_raw, h.q_rstd) : h.q_raw;
  h.k = core.k_norm ? core.k_norm->Apply(h.k_raw, h.k_rstd) : h.k_raw;
  h.q = kernels::Rotate(h.q, tables.cos, tables.sin, false);
  h.k = kernels::Rotate(h.k, tables.cos, tables.sin, false);
  return h;
}

kernels::AttentionOptions OptionsOf(const AttentionCore& core) {
  return {.scale = 1.0 / std::sqrt(static_cast<double>(core.head_dim)), .window = core.window, .eager = core.eager};
}

class CoreFunction : public torch::autograd::Function<CoreFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin,
                            const AttentionCore* core, const std::vector<int64_t>* offsets) {
    const Heads h = SplitAndRotate(*core, qkv, {cos, sin});
    kernels::AttentionResult result = kernels::Attention(h.q, h.k, h.v, *offsets, OptionsOf(*core));
    variable_list keep = {qkv, cos, sin, result.out};
    keep.insert(keep.end(), result.saved.begin(), result.saved.end());
    ctx->save_for_backward(keep);
    ctx->saved_data["core"] = reinterpret_cast<int64_t>(core);
    ctx->saved_data["offsets"] = *offsets;
    return result.out.view({qkv.size(0), core->num_heads * core->head_dim});
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto* core = reinterpret_cast<const AttentionCore*>(ctx->saved_data["core"].toInt());
    const std::vector<int64_t> offsets = ctx->saved_data["offsets"].toIntVector();
    const variable_list keep = ctx->get_saved_variables();
    const at::Tensor &qkv = keep[0], &cos = keep[1], &sin = keep[2];
    const Heads h = SplitAndRotate(*core, qkv, {cos, sin});
    const kernels::AttentionResult forward{keep[3], {keep.begin() + 4, keep.end()}};
    auto [dq, dk, dv] = kernels::AttentionBackward(grads[0].contiguous().view(h.q.sizes()), h.q, h.k, h.v, forward, offsets, OptionsOf(*core));
    dq = kernels::Rotate(dq, cos, sin, true);
    dk = kernels::Rotate(dk, cos, sin, true);
    if (core->q_norm) dq = core->q_norm->Backward(dq, h.q_raw, h.q_rstd, nullptr);
    if (core->k_norm) dk = core->k_norm->Backward(dk, h.k_raw, h.k_rstd, nullptr);
    return {at::cat({dq, dk, dv}, 1).view(qkv.sizes()), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor AttentionCore::Forward(const at::Tensor& qkv, const RopeTables& tables, const ForwardContext& context) const {
  if (context.cache != nullptr) return ForwardCached(qkv, tables, context);
  if (at::GradMode::is_enabled()) return CoreFunction::apply(qkv, tables.cos, tables.sin, this, &context.batch->offsets);
  const Heads h = SplitAndRotate(*this, qkv, tables);
  return kernels::Attention(h.q, h.k, h.v, context.batch->offsets, OptionsOf(*this)).out.view({qkv.size(0), num_heads * head_dim});
}

// Prefill (nothing cached yet) attends inside the new rows; afterwards each row brings one token. Cached keys keep the
// rotation they were made with, as in transformers: under dynamic rope scaling a cache is therefore an approximation.
at::Tensor AttentionCore::ForwardCached(const at::Tensor& qkv, const RopeTables& tables, const ForwardContext& context) const {
  KvCache& cache = *context.cache;
  const std::vector<int64_t>& offsets = context.batch->offsets;
  const Heads h = SplitAndRotate(*this, qkv, tables);
  std::vector<int64_t> lengths = cache.lengths;
  if (std::any_of(lengths.begin(), lengths.end(), [](int64_t length) { return length > 0; })) {
    cache.StoreOne(layer, lengths, h.k, h.v);
    for (int64_t& length : lengths) ++length;
    return kernels::AttentionDecode(h.q, cache.keys(layer), cache.values(layer), lengths, OptionsOf(*this)).view({qkv.size(0), num_heads * head_dim});
  }
  for (int64_t row = 0; row < context.batch->rows(); ++row) {
    const int64_t count = offsets[row + 1] - offsets[row];
    cache.Store(layer, row, 0, h.k.narrow(0, offsets[row], count), h.v.narrow(0, offsets[row], count));
  }
  const at::Tensor out = kernels::Attention(h.q, h.k, h.v, offsets, OptionsOf(*this)).out;
  return out.view({qkv.size(0), num_heads * head_dim});
}

}  // namespace ft
