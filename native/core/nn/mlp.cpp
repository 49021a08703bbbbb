#include "core/nn/mlp.h"

#include "core/nn/activations.h"

namespace ft {

DenseMlp::DenseMlp(const DecoderSpec& spec, const std::vector<ModuleLayout>& modules, const at::TensorOptions& options)
    : in_(LayoutOf(modules, Slot::kMlpIn), options),
      down_(LayoutOf(modules, Slot::kMlpDown), options),
      activation_(MakeActivation(spec.hidden_act, spec.gated_mlp)) {}

at::Tensor DenseMlp::Forward(const BlockInput& input, const ForwardContext& context) {
  const at::Tensor inner = in_.Forward(input.x, input.norm, {}, context);
  return down_.Forward(inner, activation_.get(), input.residual, context, input.value_wanted);
}

void DenseMlp::AppendWeights(std::vector<WeightRef>* refs) {
  in_.AppendWeights(refs);
  down_.AppendWeights(refs);
}

}  // namespace ft
