#include "core/nn/attention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/kernels/rope.h"
#include "core/nn/kv_cache.h"

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class CoreFunction : public torch::autograd::Function<CoreFunction> {
 public:
  // cos and sin: absent without a rotary embedding; key_bias likewise.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, const std::optional<at::Tensor>& cos, const std::optional<at::Tensor>& sin,
                            const std::optional<at::Tensor>& key_bias, const SelfAttention* attention, const std::vector<int64_t>* offsets) {
    const RopeTables tables{cos.value_or(at::Tensor()), sin.value_or(at::Tensor())};
    const SelfAttention::Heads h = attention->SplitAndRotate(qkv, cos ? &tables : nullptr);
    const at::Tensor bias = key_bias.value_or(at::Tensor());
    kernels::AttentionResult result = kernels::Attention(h.q, h.k, h.v, *offsets, attention->OptionsWith(bias));
    variable_list keep = {qkv, tables.cos, tables.sin, bias, result.out};
    keep.insert(keep.end(), result.saved.begin(), result.saved.end());
    ctx->save_for_backward(keep);
    ctx->saved_data["attention"] = reinterpret_cast<int64_t>(attention);
    ctx->saved_data["offsets"] = *offsets;
    return result.out.view({qkv.size(0), attention->width()});
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto* attention = reinterpret_cast<const SelfAttention*>(ctx->saved_data["attention"].toInt());
    const std::vector<int64_t> offsets = ctx->saved_data["offsets"].toIntVector();
    const variable_list keep = ctx->get_saved_variables();
    const at::Tensor& qkv = keep[0];
    const RopeTables tables{keep[1], keep[2]};
    const RopeTables* rope = tables.cos.defined() ? &tables : nullptr;
    const SelfAttention::Heads h = attention->SplitAndRotate(qkv, rope);
    const kernels::AttentionResult forward{keep[4], {keep.begin() + 5, keep.end()}};
    const at::Tensor dout = grads[0].contiguous().view(h.q.sizes());
    const auto [dq, dk, dv] = kernels::AttentionBackward(dout, h.q, h.k, h.v, forward, offsets, attention->OptionsWith(keep[3]));
    attention->SinksBackward(dout, forward, offsets);
    return {attention->Join(qkv, h, dq, dk, dv, rope), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

SelfAttention::SelfAttention(const DecoderSpec& spec, int64_t layer, const std::vector<ModuleLayout>& modules, const at::TensorOptions& options)
    : qkv_(LayoutOf(modules, Slot::kQkv), options),
      out_(LayoutOf(modules, Slot::kAttentionOut), options),
      counts_{spec.num_attention_heads, spec.num_key_value_heads, spec.head_dim, spec.qkv_order},
      layer_(layer),
      norm_over_width_(spec.qk_norm == QkNorm::kWidth),
      clip_(spec.clip_qkv) {
  const LayerSpec& facts = spec.layers.at(static_cast<size_t>(layer));
  if (const ModuleLayout* norm = FindSlot(modules, Slot::kQNorm)) q_norm_.emplace(*norm, options);
  if (const ModuleLayout* norm = FindSlot(modules, Slot::kKNorm)) k_norm_.emplace(*norm, options);
  if (const ModuleLayout* sinks = FindSlot(modules, Slot::kSinks)) {
    sinks_ = at::empty({sinks->rows()}, options);
    sinks_name_ = sinks->parts[0].name;
  }
  const double scale = facts.attention_scale > 0 ? facts.attention_scale : spec.attention_scale;
  options_.scale = scale > 0 ? scale : 1.0 / std::sqrt(static_cast<double>(spec.head_dim));
  options_.window = facts.sliding_window;
  options_.softcap = spec.attention_softcap;
  if (facts.rope >= 0) interleaved_ = spec.ropes.at(static_cast<size_t>(facts.rope)).interleaved;
}

at::Tensor SelfAttention::Forward(const BlockInput& input, const ForwardContext& context) {
  const at::Tensor qkv = qkv_.Forward(input.x, input.norm, {}, context);
  const at::Tensor attended = context.cache != nullptr ? CoreCached(qkv, input, context) : Core(qkv, input, context);
  return out_.Forward(attended, nullptr, input.residual, context, input.value_wanted);
}

void SelfAttention::AppendWeights(std::vector<WeightRef>* refs) {
  qkv_.AppendWeights(refs);
  if (q_norm_) q_norm_->AppendWeights(refs);
  if (k_norm_) k_norm_->AppendWeights(refs);
  if (sinks_.defined()) refs->push_back({sinks_, &sinks_grad_, false, {{sinks_name_, sinks_.sizes().vec(), 0, sinks_.numel()}}});
  out_.AppendWeights(refs);
}

void SelfAttention::SinksBackward(const at::Tensor& dout, const kernels::AttentionResult& forward, const std::vector<int64_t>& offsets) const {
  if (!sinks_grad_.defined()) return;
  at::Tensor(sinks_grad_).add_(kernels::SinkGradient(dout, forward, offsets, OptionsWith({})));
}

at::Tensor SelfAttention::Normed(const std::optional<NormWeight>& norm, const at::Tensor& heads, at::Tensor& aux) const {
  if (!norm) return heads;
  return norm_over_width_ ? norm->Apply(heads.flatten(1), aux).view(heads.sizes()) : norm->Apply(heads, aux);
}

at::Tensor SelfAttention::NormBackward(const std::optional<NormWeight>& norm, const at::Tensor& d, const at::Tensor& raw, const at::Tensor& aux) const {
  if (!norm) return d;
  return norm_over_width_ ? norm->Backward(d.flatten(1), raw.flatten(1), aux, nullptr).view(d.sizes()) : norm->Backward(d, raw, aux, nullptr);
}

at::Tensor SelfAttention::Turned(const at::Tensor& heads, const RopeTables* rope, bool inverse) const {
  if (rope == nullptr) return heads;
  return (interleaved_ ? kernels::RotatePairs : kernels::Rotate)(heads, rope->cos, rope->sin, inverse);
}

SelfAttention::Heads SelfAttention::SplitAndRotate(const at::Tensor& qkv, const RopeTables* rope) const {
  const HeadViews views = ViewsOf(clip_ > 0 ? qkv.clamp(-clip_, clip_) : qkv, counts_);
  Heads h;
  h.q_raw = views.q.dim() == 3 ? views.q : views.q.reshape({qkv.size(0), counts_.num_heads, counts_.head_dim});
  h.k_raw = views.k;
  h.v = views.v;
  h.q = Normed(q_norm_, h.q_raw, h.q_aux);
  h.k = Normed(k_norm_, h.k_raw, h.k_aux);
  h.q = Turned(h.q, rope, false);
  h.k = Turned(h.k, rope, false);
  return h;
}

at::Tensor SelfAttention::Join(const at::Tensor& qkv, const Heads& heads, at::Tensor dq, at::Tensor dk, const at::Tensor& dv, const RopeTables* rope) const {
  dq = NormBackward(q_norm_, Turned(dq, rope, true), heads.q_raw, heads.q_aux);
  dk = NormBackward(k_norm_, Turned(dk, rope, true), heads.k_raw, heads.k_aux);
  at::Tensor dqkv;
  if (counts_.order == QkvOrder::kConcatenated) {
    dqkv = at::cat({dq, dk, dv}, 1).view(qkv.sizes());
  } else {
    dqkv = at::empty(qkv.sizes(), qkv.options());
    const HeadViews views = ViewsOf(dqkv, counts_);
    views.q.copy_(dq.view(views.q.sizes()));
    views.k.copy_(dk);
    views.v.copy_(dv);
  }
  return clip_ > 0 ? dqkv.masked_fill_(qkv.abs().gt(clip_), 0) : dqkv;
}

kernels::AttentionOptions SelfAttention::OptionsWith(const at::Tensor& key_bias) const {
  kernels::AttentionOptions options = options_;
  options.key_bias = key_bias;
  if (sinks_.defined()) options.sinks = sinks_.to(at::kFloat);
  return options;
}

at::Tensor SelfAttention::Core(const at::Tensor& qkv, const BlockInput& input, const ForwardContext& context) const {
  if (at::GradMode::is_enabled()) {
    const RopeTables* rope = input.rope;
    const auto table = [rope](at::Tensor RopeTables::* which) { return rope == nullptr ? std::nullopt : std::optional(rope->*which); };
    const auto bias = input.key_bias.defined() ? std::optional(input.key_bias) : std::nullopt;
    return CoreFunction::apply(qkv, table(&RopeTables::cos), table(&RopeTables::sin), bias, this, &context.batch->offsets);
  }
  const Heads h = SplitAndRotate(qkv, input.rope);
  return kernels::Attention(h.q, h.k, h.v, context.batch->offsets, OptionsWith(input.key_bias)).out.view({qkv.size(0), width()});
}

// Prefill (nothing cached yet) attends inside the new rows; afterwards each row brings one token. Cached keys keep the
// rotation they were made with, as in transformers: under dynamic rope scaling a cache is therefore an approximation.
at::Tensor SelfAttention::CoreCached(const at::Tensor& qkv, const BlockInput& input, const ForwardContext& context) const {
  KvCache& cache = *context.cache;
  const std::vector<int64_t>& offsets = context.batch->offsets;
  const Heads h = SplitAndRotate(qkv, input.rope);
  const kernels::AttentionOptions options = OptionsWith(input.key_bias);
  std::vector<int64_t> lengths = cache.lengths;
  if (std::any_of(lengths.begin(), lengths.end(), [](int64_t length) { return length > 0; })) {
    cache.StoreOne(layer_, lengths, h.k, h.v);
    for (int64_t& length : lengths) ++length;
    return kernels::AttentionDecode(h.q, cache.keys(layer_), cache.values(layer_), lengths, options).view({qkv.size(0), width()});
  }
  for (int64_t row = 0; row < context.batch->rows(); ++row) {
    const int64_t count = offsets[row + 1] - offsets[row];
    cache.Store(layer_, row, 0, h.k.narrow(0, offsets[row], count), h.v.narrow(0, offsets[row], count));
  }
  return kernels::Attention(h.q, h.k, h.v, offsets, options).out.view({qkv.size(0), width()});
}

}  // namespace ft
