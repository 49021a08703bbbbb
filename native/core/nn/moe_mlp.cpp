#include "core/nn/moe_mlp.h"

#include <ATen/ATen.h>

#include "core/nn/activations.h"

namespace ft {
namespace {

std::optional<LinearGroup> MakeGroup(const std::vector<ModuleLayout>& modules, Slot slot, const at::TensorOptions& options) {
  const ModuleLayout* layout = FindSlot(modules, slot);
  return layout == nullptr ? std::nullopt : std::optional<LinearGroup>(std::in_place, *layout, options);
}

}  // namespace

MoeMlp::MoeMlp(const DecoderSpec& spec, int64_t layer, const std::vector<ModuleLayout>& modules, const at::TensorOptions& options)
    : shared_in_(MakeGroup(modules, Slot::kSharedIn, options)),
      shared_down_(MakeGroup(modules, Slot::kSharedDown, options)),
      shared_gate_(MakeGroup(modules, Slot::kSharedGate, options)),
      shared_activation_(MakeActivation(spec.hidden_act, /*gated=*/true)) {
  routed_.spec = spec.moe;
  routed_.hidden_act = spec.hidden_act;
  routed_.layer = layer;
  routed_.router = LinearGroup(LayoutOf(modules, Slot::kRouter), options);
  if (const ModuleLayout* bias = FindSlot(modules, Slot::kCorrectionBias)) {
    routed_.correction_bias = at::empty({bias->rows()}, options.dtype(at::kFloat));
    routed_.correction_bias_name = bias->parts[0].name;
  }
  routed_.gate_up = ExpertLinear(LayoutOf(modules, Slot::kExpertsIn), options);
  routed_.down = ExpertLinear(LayoutOf(modules, Slot::kExpertsDown), options);
}

at::Tensor MoeMlp::Forward(const BlockInput& input, const ForwardContext& context) {
  // Router, experts and shared expert read the same input: it is made once and kept.
  const at::Tensor x = input.norm != nullptr ? Transformed(*input.norm, input.x, context.anchor) : input.x;
  const at::Tensor routed = routed_.Forward(x, input.residual, context, input.value_wanted);
  if (!shared_in_) return routed;
  const at::Tensor inner = shared_in_->Forward(x, nullptr, {}, context);
  if (!shared_gate_) return shared_down_->Forward(inner, shared_activation_.get(), routed, context, input.value_wanted);
  const at::Tensor shared = shared_down_->Forward(inner, shared_activation_.get(), {}, context);
  return routed.addcmul(at::sigmoid(shared_gate_->Forward(x, nullptr, {}, context)), shared);
}

std::vector<LinearGroup*> MoeMlp::Groups() {
  std::vector<LinearGroup*> groups = {&routed_.router};
  for (std::optional<LinearGroup>* group : {&shared_in_, &shared_down_, &shared_gate_}) {
    if (*group) groups.push_back(&**group);
  }
  return groups;
}

void MoeMlp::AppendWeights(std::vector<WeightRef>* refs) {
  routed_.AppendWeights(refs);
  for (std::optional<LinearGroup>* group : {&shared_in_, &shared_down_, &shared_gate_}) {
    if (*group) (*group)->AppendWeights(refs);
  }
}

}  // namespace ft
