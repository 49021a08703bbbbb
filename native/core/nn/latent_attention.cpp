#include "core/nn/latent_attention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "core/kernels/rope.h"
#include "core/nn/kv_cache.h"

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class CoreFunction : public torch::autograd::Function<CoreFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k_rope, const at::Tensor& kv, const at::Tensor& cos,
                            const at::Tensor& sin, const LatentAttention* attention, const std::vector<int64_t>* offsets) {
    const LatentAttention::Heads h = attention->Assemble({q, k_rope, kv}, {cos, sin});
    kernels::AttentionResult result = kernels::Attention(h.q, h.k, h.v, *offsets, attention->options());
    variable_list keep = {q, k_rope, kv, cos, sin, result.out};
    keep.insert(keep.end(), result.saved.begin(), result.saved.end());
    ctx->save_for_backward(keep);
    ctx->saved_data["attention"] = reinterpret_cast<int64_t>(attention);
    ctx->saved_data["offsets"] = *offsets;
    return attention->Values(result.out);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto* attention = reinterpret_cast<const LatentAttention*>(ctx->saved_data["attention"].toInt());
    const std::vector<int64_t> offsets = ctx->saved_data["offsets"].toIntVector();
    const variable_list keep = ctx->get_saved_variables();
    const RopeTables rope{keep[3], keep[4]};
    const LatentAttention::Heads h = attention->Assemble({keep[0], keep[1], keep[2]}, rope);
    const kernels::AttentionResult forward{keep[5], {keep.begin() + 6, keep.end()}};
    const auto [dq, dk, dv] = kernels::AttentionBackward(attention->ValuesBackward(grads[0]), h.q, h.k, h.v, forward, offsets, attention->options());
    const LatentAttention::Products d = attention->TakeApart({dq, dk, dv}, rope);
    return {d.q, d.k_rope, d.kv, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

LatentAttention::LatentAttention(const DecoderSpec& spec, int64_t layer, const std::vector<ModuleLayout>& modules, const at::TensorOptions& options)
    : latent_(spec.latent),
      heads_(spec.num_attention_heads),
      layer_(layer),
      interleaved_(spec.ropes.at(static_cast<size_t>(spec.layers.at(static_cast<size_t>(layer)).rope)).interleaved),
      q_in_(LayoutOf(modules, Slot::kQueryIn), options),
      kv_in_(LayoutOf(modules, Slot::kKeyValueIn), options),
      kv_norm_(LayoutOf(modules, Slot::kKeyValueNorm), options),
      kv_up_(LayoutOf(modules, Slot::kKeyValueUp), options),
      out_(LayoutOf(modules, Slot::kAttentionOut), options) {
  if (const ModuleLayout* norm = FindSlot(modules, Slot::kQueryNorm)) q_norm_.emplace(*norm, options);
  if (const ModuleLayout* up = FindSlot(modules, Slot::kQueryUp)) q_up_.emplace(*up, options);
  options_.scale = spec.attention_scale > 0 ? spec.attention_scale : 1.0 / std::sqrt(static_cast<double>(qk_dim()));
}

at::Tensor LatentAttention::Forward(const BlockInput& input, const ForwardContext& context) {
  Products products;
  products.q = q_in_.Forward(input.x, input.norm, {}, context);
  if (q_up_) products.q = q_up_->Forward(products.q, &*q_norm_, {}, context);
  const at::Tensor kv_in = kv_in_.Forward(input.x, input.norm, {}, context);
  products.k_rope = kv_in.narrow(1, latent_.kv_rank, latent_.rope_dim);
  products.kv = kv_up_.Forward(kv_in.narrow(1, 0, latent_.kv_rank), &kv_norm_, {}, context);
  const at::Tensor attended = context.cache != nullptr ? CoreCached(products, *input.rope, context) : Core(products, *input.rope, context);
  return out_.Forward(attended, nullptr, input.residual, context, input.value_wanted);
}

std::vector<LinearGroup*> LatentAttention::Groups() {
  std::vector<LinearGroup*> groups = {&q_in_};
  if (q_up_) groups.push_back(&*q_up_);
  groups.insert(groups.end(), {&kv_in_, &kv_up_, &out_});
  return groups;
}

void LatentAttention::AppendWeights(std::vector<WeightRef>* refs) {
  q_in_.AppendWeights(refs);
  if (q_norm_) q_norm_->AppendWeights(refs);
  if (q_up_) q_up_->AppendWeights(refs);
  kv_in_.AppendWeights(refs);
  kv_norm_.AppendWeights(refs);
  kv_up_.AppendWeights(refs);
  out_.AppendWeights(refs);
}

at::Tensor LatentAttention::Turned(const at::Tensor& heads, const RopeTables& rope, bool inverse) const {
  return (interleaved_ ? kernels::RotatePairs : kernels::Rotate)(heads, rope.cos, rope.sin, inverse);
}

LatentAttention::Heads LatentAttention::Assemble(const Products& products, const RopeTables& rope) const {
  const int64_t tokens = products.q.size(0), nope = latent_.nope_dim, turning = latent_.rope_dim, v = latent_.v_dim;
  const at::Tensor q = products.q.view({tokens, heads_, nope + turning}), kv = products.kv.view({tokens, heads_, nope + v});
  const auto padded = [&](int64_t used) {
    at::Tensor heads = at::empty({tokens, heads_, head_size()}, q.options());
    if (used < head_size()) heads.narrow(2, used, head_size() - used).zero_();
    return heads;
  };
  Heads h{padded(qk_dim()), padded(qk_dim()), padded(v)};
  h.q.narrow(2, 0, nope).copy_(q.narrow(2, 0, nope));
  h.q.narrow(2, nope, turning).copy_(Turned(q.narrow(2, nope, turning), rope, false));
  h.k.narrow(2, 0, nope).copy_(kv.narrow(2, 0, nope));
  h.k.narrow(2, nope, turning).copy_(Turned(products.k_rope.unsqueeze(1), rope, false));  // one for all heads
  h.v.narrow(2, 0, v).copy_(kv.narrow(2, nope, v));
  return h;
}

LatentAttention::Products LatentAttention::TakeApart(const Heads& gradient, const RopeTables& rope) const {
  const int64_t tokens = gradient.q.size(0), nope = latent_.nope_dim, turning = latent_.rope_dim, v = latent_.v_dim;
  const at::Tensor dq = at::empty({tokens, heads_, nope + turning}, gradient.q.options()), dkv = at::empty({tokens, heads_, nope + v}, gradient.q.options());
  dq.narrow(2, 0, nope).copy_(gradient.q.narrow(2, 0, nope));
  dq.narrow(2, nope, turning).copy_(Turned(gradient.q.narrow(2, nope, turning), rope, true));
  dkv.narrow(2, 0, nope).copy_(gradient.k.narrow(2, 0, nope));
  dkv.narrow(2, nope, v).copy_(gradient.v.narrow(2, 0, v));
  const at::Tensor dk_rope = gradient.k.narrow(2, nope, turning).sum(1, /*keepdim=*/true, at::kFloat).to(gradient.k.scalar_type());
  return {dq.flatten(1), Turned(dk_rope, rope, true).flatten(1), dkv.flatten(1)};
}

at::Tensor LatentAttention::Values(const at::Tensor& attended) const { return attended.narrow(2, 0, latent_.v_dim).flatten(1); }

at::Tensor LatentAttention::ValuesBackward(const at::Tensor& dvalues) const {
  const at::Tensor d = dvalues.contiguous().view({dvalues.size(0), heads_, latent_.v_dim});
  return latent_.v_dim == head_size() ? d : at::constant_pad_nd(d, {0, head_size() - latent_.v_dim});
}

at::Tensor LatentAttention::Core(const Products& products, const RopeTables& rope, const ForwardContext& context) const {
  if (at::GradMode::is_enabled()) {
    return CoreFunction::apply(products.q, products.k_rope, products.kv, rope.cos, rope.sin, this, &context.batch->offsets);
  }
  const Heads h = Assemble(products, rope);
  return Values(kernels::Attention(h.q, h.k, h.v, context.batch->offsets, options_).out);
}

// As in SelfAttention: prefill attends inside the new rows, afterwards each row brings one token.
at::Tensor LatentAttention::CoreCached(const Products& products, const RopeTables& rope, const ForwardContext& context) const {
  KvCache& cache = *context.cache;
  const std::vector<int64_t>& offsets = context.batch->offsets;
  const Heads h = Assemble(products, rope);
  const at::Tensor keys = h.k.narrow(2, 0, qk_dim()), values = h.v.narrow(2, 0, latent_.v_dim);
  std::vector<int64_t> lengths = cache.lengths;
  if (std::any_of(lengths.begin(), lengths.end(), [](int64_t length) { return length > 0; })) {
    cache.StoreOne(layer_, lengths, keys, values);
    for (int64_t& length : lengths) ++length;
    return kernels::AttentionDecode(h.q.narrow(2, 0, qk_dim()), cache.keys(layer_), cache.values(layer_), lengths, options_).flatten(1);
  }
  for (int64_t row = 0; row < context.batch->rows(); ++row) {
    const int64_t count = offsets[row + 1] - offsets[row];
    cache.Store(layer_, row, 0, keys.narrow(0, offsets[row], count), values.narrow(0, offsets[row], count));
  }
  return Values(kernels::Attention(h.q, h.k, h.v, offsets, options_).out);
}

}  // namespace ft
