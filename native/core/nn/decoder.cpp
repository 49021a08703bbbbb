#include "core/nn/decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>

#include "core/nn/alibi.h"
#include "core/nn/checkpointing.h"
#include "core/nn/kv_cache.h"

namespace ft {
namespace {

void AppendPacked(const ExpertLinear& linear, std::vector<Decoder::PackedPart>* packed) {
  const ModuleLayout& layout = linear.layout;
  for (size_t e = 0; e < linear.packed.size(); ++e) {
    quant::StackedWeight* weights = linear.packed[e].get();
    for (size_t i = 0; i < weights->size(); ++i) {
      const ModuleLayout::Part& part = layout.parts[layout.fused ? 0 : e * weights->size() + i];
      Decoder::PackedPart one{linear.name, layout.fused ? part.name : part.stored() + ".weight", weights, i, part.rows, layout.width};
      if (layout.fused) one.expert = static_cast<int64_t>(e);
      one.experts = layout.experts;
      packed->push_back(std::move(one));
    }
  }
}

}  // namespace

Decoder::Decoder(const DecoderSpec& spec, at::ScalarType dtype, at::Device device, const std::set<std::string>& packed, int64_t offload_layers)
    : spec_(spec), dtype_(dtype), device_(device), offload_layers_(std::clamp<int64_t>(offload_layers, 0, spec.num_hidden_layers)),
      stem_(spec, at::TensorOptions(dtype).device(device), packed) {
  const auto options = at::TensorOptions(dtype_).device(device_);
  for (const RopeSpec& rope : spec_.ropes) ropes_.emplace_back(rope, spec_.max_position_embeddings, device_);
  for (int64_t i = 0; i < spec_.num_hidden_layers; ++i) {
    layers_.push_back(std::make_unique<DecoderLayer>(spec_, i, options, packed, i >= spec_.num_hidden_layers - offload_layers_));
  }
  std::vector<ModuleLayout> top = TopLayout(spec_);
  MarkPacked(packed, &top);
  if (const ModuleLayout* layout = FindSlot(top, Slot::kFinalNorm)) norm_.emplace(*layout, options);
  if (const ModuleLayout* layout = FindSlot(top, Slot::kProjectOut)) project_out_.emplace(*layout, options);
  lm_head_ = LinearGroup(LayoutOf(top, Slot::kHead), options, spec_.tie_word_embeddings ? stem_.tokens().weight : at::Tensor());
}

void Decoder::UseEagerAttention() {
  for (const auto& layer : layers_) layer->attention().UseEager();
}

PositionTables Decoder::TablesOf(const ForwardContext& context, const std::vector<int64_t>& lengths) const {
  const Batch& batch = *context.batch;
  PositionTables tables;
  for (const Rope& rope : ropes_) {
    auto [cos, sin] = rope.Tables(batch.positions, batch.offsets, lengths);
    tables.ropes.push_back({std::move(cos), std::move(sin)});
  }
  if (!spec_.alibi.slopes.empty()) tables.key_bias = AlibiTable(spec_.alibi, *std::max_element(lengths.begin(), lengths.end()), device_);
  return tables;
}

at::Tensor Decoder::Hidden(const ForwardContext& context) {
  const Batch& batch = *context.batch;
  std::vector<int64_t> lengths(static_cast<size_t>(batch.rows()));
  for (size_t r = 0; r < lengths.size(); ++r) lengths[r] = batch.offsets[r + 1] - batch.offsets[r] + (context.cache ? context.cache->lengths[r] : 0);
  const PositionTables tables = TablesOf(context, lengths);
  at::Tensor x = stem_.Forward(context, *std::max_element(lengths.begin(), lengths.end()));
  int64_t again = at::GradMode::is_enabled() ? context.checkpointed_layers : 0;  // layers still to come that run again
  for (const auto& layer : layers_) {
    ThrowIfCancelled(context.cancel);
    const auto forward = [&layer, tables, &context](const at::Tensor& input, bool value_wanted) {
      return layer->Forward(input, tables, context, value_wanted);
    };
    x = again-- > 0 ? Checkpointed(forward, x, context.anchor) : forward(x, true);
  }
  return project_out_ ? project_out_->Forward(x, norm_ ? &*norm_ : nullptr, {}, context) : x;
}

std::vector<WeightRef> Decoder::Weights() {
  std::vector<WeightRef> refs;
  stem_.AppendWeights(&refs);
  for (const auto& layer : layers_) layer->AppendWeights(&refs);
  if (norm_) norm_->AppendWeights(&refs);
  if (project_out_) project_out_->AppendWeights(&refs);
  lm_head_.AppendWeights(&refs);
  return refs;
}

std::vector<Decoder::NamedTensor> Decoder::NamedTensors() const {
  std::vector<NamedTensor> tensors;
  for (const WeightRef& ref : const_cast<Decoder*>(this)->Weights()) {
    const at::Tensor flat = ref.weight.view({-1});
    for (const WeightRef::Part& part : ref.parts) {
      const at::Tensor stored = part.strides.empty() ? flat.narrow(0, part.offset, part.numel).view(part.shape)
                                                     : flat.as_strided(part.shape, part.strides, flat.storage_offset() + part.offset);
      tensors.push_back({part.name, stored, ref.grad == nullptr});
    }
  }
  return tensors;
}

std::vector<Decoder::PackedPart> Decoder::PackedParts() {
  std::vector<PackedPart> packed;
  for (LinearGroup* group : Groups()) {
    for (size_t i = 0; i < group->parts.size(); ++i) {
      const LinearPart& part = group->parts[i];
      if (part.packed) packed.push_back({part.name, part.in_files + ".weight", group->packed.get(), i, part.out_features, group->in_features(), part.transposed});
    }
  }
  for (const std::vector<ExpertLinear*>& experts : Experts()) {
    for (ExpertLinear* linear : experts) AppendPacked(*linear, &packed);
  }
  return packed;
}

uint64_t Decoder::WeightBytes() const {
  uint64_t bytes = 0;
  for (const NamedTensor& named : NamedTensors()) bytes += named.tensor.nbytes();
  for (const PackedPart& packed : const_cast<Decoder*>(this)->PackedParts()) {
    const auto& weight = packed.weights->part(packed.part);
    bytes += weight == nullptr ? 0 : weight->bytes();
  }
  return bytes;
}

std::vector<LinearGroup*> Decoder::Groups() {
  std::vector<LinearGroup*> groups = stem_.Groups();
  for (const auto& layer : layers_) {
    for (LinearGroup* group : layer->Groups()) groups.push_back(group);
  }
  if (project_out_) groups.push_back(&*project_out_);
  groups.push_back(&lm_head_);
  return groups;
}

std::vector<std::vector<ExpertLinear*>> Decoder::Experts() {
  std::vector<std::vector<ExpertLinear*>> experts;
  for (const auto& layer : layers_) {
    if (std::vector<ExpertLinear*> own = layer->Experts(); !own.empty()) experts.push_back(std::move(own));
  }
  return experts;
}

std::vector<CacheShape> Decoder::CacheShapes() const {
  std::vector<CacheShape> shapes;
  for (const auto& layer : layers_) shapes.push_back(layer->attention().cache_shape());
  return shapes;
}

int64_t Decoder::cache_valid_to() const {
  int64_t length = std::numeric_limits<int64_t>::max();
  for (const Rope& rope : ropes_) length = std::min(length, rope.cache_valid_to());
  return length;
}

std::vector<ParameterBlock> Decoder::MakeTrainable() {
  if (offload_layers_ > 0) {
    throw Error(ErrorCode::kIncompatibleConfig, fmt::format("{} layers are offloaded, and weights that visit the device are not trained", offload_layers_),
                "train an adapter (--method lora), or load the model with --offload-layers 0");
  }
  std::vector<ParameterBlock> blocks;
  for (WeightRef& ref : Weights()) {
    if (ref.grad == nullptr) continue;
    ParameterBlock block;
    block.compute = ref.weight.view({-1});
    block.master = dtype_ == at::kFloat ? block.compute : block.compute.to(at::kFloat);
    block.grad = at::zeros_like(block.compute);
    block.decay = ref.decay;
    block.master_saved_elsewhere = dtype_ == at::kFloat;
    for (const WeightRef::Part& part : ref.parts) {
      block.views.push_back({part.name, part.shape, part.offset, part.numel, part.strides.empty() ? std::vector<int64_t>{} : part.shape, part.strides});
    }
    *ref.grad = block.grad.view(ref.weight.sizes());
    blocks.push_back(std::move(block));
  }
  if (spec_.tie_word_embeddings) lm_head_.weight_grad = stem_.tokens().grad;
  return blocks;
}

}  // namespace ft
