// A mixture of experts as the MLP of a layer: routed experts, and perhaps one that every token passes, weighed by a gate of its own.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/nn/block.h"
#include "core/nn/decoder_spec.h"
#include "core/nn/moe.h"

namespace ft {

class MoeMlp : public Block {
 public:
  /// `modules`: the layer's layout.
  MoeMlp(const DecoderSpec& spec, int64_t layer, const std::vector<ModuleLayout>& modules, const at::TensorOptions& options);

  at::Tensor Forward(const BlockInput& input, const ForwardContext& context) override;
  std::vector<LinearGroup*> Groups() override;
  std::vector<ExpertLinear*> Experts() override { return {&routed_.gate_up, &routed_.down}; }
  void AppendWeights(std::vector<WeightRef>* refs) override;

 private:
  RoutedExperts routed_;
  std::optional<LinearGroup> shared_in_, shared_down_, shared_gate_;
  std::unique_ptr<InputTransform> shared_activation_;
};

}  // namespace ft
