#include "core/nn/decoder_layer.h"

#include <ATen/ATen.h>

#include <utility>

#include "core/base/error.h"

#include "core/nn/attention.h"
#include "core/nn/latent_attention.h"
#include "core/nn/mlp.h"
#include "core/nn/moe_mlp.h"

namespace ft {
namespace {

using Modules = std::vector<ModuleLayout>;

// The one place that knows which kinds of blocks there are.
std::unique_ptr<AttentionBlock> MakeAttention(const DecoderSpec& spec, int64_t layer, const Modules& modules, const at::TensorOptions& options) {
  if (spec.latent.present()) return std::make_unique<LatentAttention>(spec, layer, modules, options);
  return std::make_unique<SelfAttention>(spec, layer, modules, options);
}

std::unique_ptr<Block> MakeMlp(const DecoderSpec& spec, int64_t layer, const Modules& modules, const at::TensorOptions& options) {
  if (spec.layers.at(static_cast<size_t>(layer)).experts) return std::make_unique<MoeMlp>(spec, layer, modules, options);
  return std::make_unique<DenseMlp>(spec, modules, options);
}

std::optional<NormWeight> MakeNorm(const Modules& modules, Slot slot, const at::TensorOptions& options) {
  const ModuleLayout* layout = FindSlot(modules, slot);
  return layout == nullptr ? std::nullopt : std::optional<NormWeight>(std::in_place, *layout, options);
}

const NormWeight* Pointer(const std::optional<NormWeight>& norm) { return norm ? &*norm : nullptr; }

}  // namespace

DecoderLayer::DecoderLayer(const DecoderSpec& spec, int64_t layer, const at::TensorOptions& options, const std::set<std::string>& packed, bool offloaded)
    : rope_(spec.layers.at(static_cast<size_t>(layer)).rope),
      place_(spec.norm_place),
      parallel_(spec.parallel_residual),
      multiplier_(spec.residual_multiplier) {
  Modules modules = LayerLayout(spec, layer);
  MarkPacked(packed, &modules);
  if (offloaded) MarkOffloaded(&modules);
  attention_norm_ = MakeNorm(modules, Slot::kAttentionNorm, options);
  attention_ = MakeAttention(spec, layer, modules, options);
  attention_post_norm_ = MakeNorm(modules, Slot::kAttentionPostNorm, options);
  mlp_norm_ = MakeNorm(modules, Slot::kMlpNorm, options);
  mlp_ = MakeMlp(spec, layer, modules, options);
  mlp_post_norm_ = MakeNorm(modules, Slot::kMlpPostNorm, options);
  FT_CHECK(place_ == NormPlace::kBefore || (attention_norm_ && mlp_norm_ && !attention_post_norm_ && !mlp_post_norm_ && !parallel_ && multiplier_ == 1.0),
           kInternal, "layer {}: one norm a block, one block after the other, is what this place of the norms takes", layer);
}

at::Tensor DecoderLayer::Add(const Branch& branch, BlockInput input, const at::Tensor& residual, const ForwardContext& context) const {
  if (place_ != NormPlace::kBefore) return AddNormed(branch, std::move(input), residual, context);
  input.norm = branch.norm;
  if (branch.post_norm == nullptr && multiplier_ == 1.0) {
    input.residual = residual;
    return branch.block->Forward(input, context);
  }
  input.value_wanted = input.value_wanted || branch.post_norm != nullptr;  // the norm's backward reads what it normed
  const at::Tensor added = branch.block->Forward(input, context);
  return branch.post_norm != nullptr ? branch.post_norm->AddTo(residual, added, context) : residual.add(added, multiplier_);
}

at::Tensor DecoderLayer::AddNormed(const Branch& branch, BlockInput input, const at::Tensor& residual, const ForwardContext& context) const {
  if (place_ == NormPlace::kBeforeBoth) {
    input.x = input.residual = branch.norm->Forward(input.x, context);
    return branch.block->Forward(input, context);
  }
  input.residual = residual;
  input.value_wanted = true;  // for the norm's backward
  return branch.norm->Forward(branch.block->Forward(input, context), context);
}

at::Tensor DecoderLayer::Forward(const at::Tensor& x, const PositionTables& tables, const ForwardContext& context, bool value_wanted) {
  const RopeTables* rope = rope_ >= 0 ? &tables.ropes.at(static_cast<size_t>(rope_)) : nullptr;
  const Branch attention{attention_.get(), Pointer(attention_norm_), Pointer(attention_post_norm_)};
  const bool shared = parallel_ && !mlp_norm_;
  const Branch mlp{mlp_.get(), shared ? attention.norm : Pointer(mlp_norm_), Pointer(mlp_post_norm_)};
  const at::Tensor middle = Add(attention, {.x = x, .rope = rope, .key_bias = tables.key_bias}, x, context);
  return Add(mlp, {.x = parallel_ ? x : middle, .value_wanted = value_wanted}, middle, context);
}

std::vector<LinearGroup*> DecoderLayer::Groups() {
  std::vector<LinearGroup*> groups = attention_->Groups();
  for (LinearGroup* group : mlp_->Groups()) groups.push_back(group);
  return groups;
}

void DecoderLayer::AppendWeights(std::vector<WeightRef>* refs) {
  if (attention_norm_) attention_norm_->AppendWeights(refs);
  attention_->AppendWeights(refs);
  if (attention_post_norm_) attention_post_norm_->AppendWeights(refs);
  if (mlp_norm_) mlp_norm_->AppendWeights(refs);
  mlp_->AppendWeights(refs);
  if (mlp_post_norm_) mlp_post_norm_->AppendWeights(refs);
}

}  // namespace ft
